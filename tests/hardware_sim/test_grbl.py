import time

import pytest

from tests.hardware_sim.conftest import Host, Shop, Simulator

BANNER = "Grbl 1.1h"
SQUARE = ["G21 G90", "G0 Z5", "M3 S8000", "G0 X0 Y0", "G1 Z-1 F200", "G1 X20 F600", "G1 Y20"]
END = ["G0 Z5", "M5", "M30"]


def status(host: Host) -> str:
    host.put(b"?")
    return host.until("<")[-1]


@pytest.fixture
def mill(shop: Shop) -> Simulator:
    return shop("mill-3018")


def test_it_greets_and_reports(mill: Simulator):
    host = mill.host(BANNER)
    assert status(host) == "<Idle|MPos:0.000,0.000,0.000|Bf:15,128|FS:0,0|WCO:0.000,0.000,0.000>"
    assert "$130=300.000" in host.ask("$$")
    assert host.ask("$G")[0] == "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F0 S0]"
    assert host.ask("$I")[0].startswith("[VER:1.1h")
    assert "[G92:0.000,0.000,0.000]" in host.ask("$#")


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("G1 X10", 22),
        ("G5 X1", 20),
        ("X1 Y", 2),
        ("#1=2", 1),
        ("G0 G1 X1", 24),
        ("G17 G18", 21),
        ("G0 X1 X2", 25),
        ("M3 S-1", 4),
        ("G2 X10 Y0 F100", 35),
        ("G2 X10 Y0 I3 F100", 33),
        ("G2 X10 R1 F100", 34),
        ("G4", 28),
        ("G53 G2 X1 Y1 I1 F100", 30),
        ("M6 T1", 20),
        ("M3.5", 23),
        ("$H", 5),
        ("$Q", 2),
        ("$999=1", 3),
        ("$20=1", 10),
        ("G1 X" + "1" * 90, 11),
    ],
)
def test_bad_lines_are_refused_by_number(mill: Simulator, line: str, error: int):
    host = mill.host(BANNER)
    assert host.ask(line)[-1] == f"error:{error}"
    assert host.ask("G0 X1")[-1] == "ok"


def test_lines_are_cleaned_as_grbl_does(mill: Simulator):
    host = mill.host(BANNER)
    assert host.ask("g1 x10 (over there) f600 ; words")[-1] == "ok"
    assert host.ask("")[-1] == "ok"
    host.ask("G4 P0")
    assert "MPos:10.000,0.000" in status(host)


def test_work_offsets_inches_arcs_and_g53(mill: Simulator):
    host = mill.host(BANNER)
    for line in ("G10 L2 P1 X10 Y10", "G0 X0 Y0", "G20", "G1 X1 F20", "G21", "G4 P0"):
        assert host.ask(line)[-1] == "ok"
    assert "MPos:35.400,10.000" in status(host)
    for line in ("G17 G3 X25.4 Y20 I0 J10 F600", "G53 G0 Z5", "G92 X0", "G4 P0"):
        assert host.ask(line)[-1] == "ok"
    assert "MPos:35.400,30.000,5.000" in status(host)
    assert "[G92:25.400,0.000,0.000]" in host.ask("$#")


def test_feed_hold_brakes_stands_and_goes_on(shop: Shop):
    host = shop("mill-3018", speed=1).host(BANNER)
    host.ask("G1 X30 F1500")  # 25 mm/s at 100 mm/s²: a quarter of a second to brake
    time.sleep(0.1)
    assert status(host).startswith("<Run")
    host.put(b"!")
    assert status(host).startswith("<Hold:1")
    time.sleep(0.4)
    held = status(host)
    assert held.startswith("<Hold:0")
    time.sleep(0.2)
    assert status(host).split("|")[1] == held.split("|")[1]
    host.put(b"~")
    assert status(host).startswith("<Run")
    host.ask("G4 P0")
    assert "MPos:30.000" in status(host)


def test_reset_in_motion_is_an_alarm_and_at_rest_it_is_not(shop: Shop):
    sim = shop("mill-3018", speed=1)
    host = sim.host(BANNER)
    host.put(b"\x18")
    assert host.until(BANNER)
    assert status(host).startswith("<Idle")
    host.ask("G1 X100 F600")
    time.sleep(0.05)
    host.put(b"\x18")
    said = host.until("[MSG")
    assert said[0] == "ALARM:3"
    assert host.ask("G0 X0")[-1] == "error:9"
    assert host.ask("$X")[0] == "[MSG:Caution: Unlocked]"
    assert host.ask("G0 X0")[-1] == "ok"
    assert sim.rows("ends.jsonl")[0]["how"] == "stopped"


def test_check_mode_moves_nothing_and_ends_in_a_reset(mill: Simulator):
    host = mill.host(BANNER)
    assert host.ask("$C")[0] == "[MSG:Enabled]"
    for line in SQUARE:
        assert host.ask(line)[-1] == "ok"
    assert host.ask("G99")[-1] == "error:20"
    assert status(host).startswith("<Check|MPos:0.000,0.000,0.000")
    host.put(b"$C\n")
    assert host.until(BANNER)[0] == "[MSG:Disabled]"
    assert mill.rows("starts.jsonl") == []


def test_soft_limits_alarm_and_wait_for_reset(shop: Shop):
    settings = {"20": 1, "21": 0, "22": 1, "27": 1, "130": 300, "131": 180, "132": 45}
    sim = shop("mill-3018", settings=settings)
    host = sim.host(BANNER)
    assert host.ask("G0 X-5")[-1] == "error:9"
    host.ask("$H")
    assert "MPos:-1.000" in status(host)
    assert host.ask("$J=G91 X500 F100")[-1] == "error:15"
    host.put(b"G0 X20\n")
    assert host.until("ALARM")[-1] == "ALARM:2"
    host.until("[MSG:Reset to continue]")
    host.put(b"G0 X-5\n")
    assert host.quiet()
    host.put(b"\x18")
    host.until("[MSG:'$H'|'$X' to unlock]")


def test_character_counting_holds_and_overflow_is_lost(shop: Shop):
    sim = shop("mill-3018", speed=1)
    host = sim.host(BANNER)
    for i in range(15):
        host.put(f"G1 X{i + 1}0 F60\n".encode())
        host.until("ok")
    host.put(b"G1 X500\n" * 100)
    time.sleep(0.2)
    lost = sim.do("state")["overrun_bytes"]
    assert isinstance(lost, int)
    assert lost > 500
    assert "|Bf:0,0|" in status(host)


def test_a_program_leaves_its_account(mill: Simulator):
    host = mill.host(BANNER)
    host.ask("$X")
    for line in [*SQUARE, *END]:
        assert host.ask(line)[-1] == "ok"
    assert [e["how"] for e in mill.ended(1)] == ["complete"]
    assert (mill.records / "job-1.gcode").read_text().split("\n")[:-1] == [*SQUARE, *END]
    assert mill.rows("starts.jsonl")[0]["bed"] == "clear"
    for line in SQUARE:
        host.ask(line)
    assert mill.rows("starts.jsonl")[1]["bed"] == "occupied"
    host.close()
    assert [e["how"] for e in mill.ended(2)] == ["complete", "hangup"]


def test_program_end_resets_the_modes(mill: Simulator):
    host = mill.host(BANNER)
    for line in ("G91", "M3 S500", "G55"):
        host.ask(line)
    assert "[MSG:Pgm End]" in host.ask("M30")
    assert host.ask("$G")[0] == "[GC:G1 G54 G17 G21 G90 G94 M5 M9 T0 F0 S500]"


def test_m0_waits_for_cycle_start(mill: Simulator):
    host = mill.host(BANNER)
    host.put(b"M0\n")
    assert host.quiet()
    assert status(host).startswith("<Hold:0")
    host.put(b"~")
    assert host.until("ok")


def test_a_jam_drags_the_axis_into_its_switch(mill: Simulator):
    host = mill.host(BANNER)
    host.ask("M3 S1000")
    mill.do("jam")
    assert host.until("ALARM")[-1] == "ALARM:1"
    assert mill.ended(1)[0]["how"] == "killed"


def test_the_laser_does_not_stop_for_power_changes(shop: Shop):
    sim = shop("laser-400", speed=1)
    host = sim.host(BANNER)
    assert "$32=1" in host.ask("$$")
    began = time.monotonic()
    host.ask("M4 S0")
    for i in range(10):
        host.ask(f"G1 X{i + 1} F300 S{100 * (i % 2)}")
    assert time.monotonic() - began < 0.5
    assert sim.rows("starts.jsonl")
