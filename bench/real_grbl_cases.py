"""What a real GRBL and the simulated one are asked, case by case; each case opens its port anew

A text is a line, bytes are sent as they stand, a number is a pause in seconds, Still waits until
nothing moves.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Still:
    """Wait until nothing moves."""


Step = str | bytes | float | Still
_ASK: Final = b"?"
_STILL: Final = Still()

# fmt: off
CASES: Final[dict[str, tuple[Step, ...]]] = {
    "greeting and $": (
        "$I", "$$", "$#", "$G", "$N", "$", "", b"\r\n", b"\r", "$C", _ASK, "$C",
    ),
    "reports at rest": (
        *(_ASK,) * 24,
    ),
    "reports at rest, another mask": (
        "$10=3", *(_ASK,) * 13, "$10=0", _ASK, "$10=2", _ASK, "$10=1",
    ),
    "letters and numbers": (
        "X1 Y", "1X1", "#1=2", "G1 X", "G1 X1.2.3 F1", "G1X-F1", "G1X-.5F100", "G1X+.5F100",
        "G1X.F100", "G1X-.F100", "G0X1e3", "g0x0", "G0 X 0", "G 0 X 0", "G0X0.", "G00X00000.000",
        "G0X0.000000001", "G0X0.123456789012", "G0X00000000000000000", "G0X000000001", "G0 X--1",
        "G0X1,5", "N1G0X0", "N0010 G0 X0", "N1.5G0X0", "n9999999", "N10000000", "N10000001",
        "N-1 G0 X1", "/G0X0", "G0X0/", "G0(a)X(b)0", "(only words)", ";only words", "G0X0;Y",
        "G0X0(open", "G0X0)", "(a(b)c)", "(a;b)G0X0", "G0 X0\tY0", "%", "G0X0%", "M", "G", "$ $",
        " $G", "G0X0*71", "G0X0:", "G0\x01X0", "G0X=1", "@", "[", "G0X[1]", "X1X2", "G0X9",
        _STILL, _ASK,
    ),
    "unknown codes": (
        "G5 X1", "G6", "G7", "G15", "G16", "G29", "G31X1F1", "G33", "G41", "G42", "G44", "G50",
        "G60", "G61", "G61.1", "G62", "G63", "G64", "G68", "G73", "G81", "G83", "G95", "G96",
        "G97", "G98", "G99", "G100", "G255", "G256", "G257", "G-1", "G1.1", "G1.5 X1", "G0.1",
        "G28.2", "G28.1", "G30.1", "G38 X1 F1", "G38.1 X1 F1", "G38.6 X1 F1", "G43 H1", "G43.2",
        "G49", "G40", "G54.1", "G59.1", "G80", "G90.1", "G91.1", "G92.1", "G92.2", "G92.3",
        "G91.2", "G93", "G94", "G17.1", "M1", "M6", "M6 T1", "M7", "M10", "M48", "M49", "M50",
        "M56", "M98", "M99", "M105", "M256", "M-1", "M3.5", "M3.1", "M0.5", "T1", "T255", "T256",
        "T-1", "T1.5", "A1", "B1", "C1", "D1", "E1", "H1", "O1", "Q1", "U1", "V1", "W1", "S1",
        "S-1", "S1.5", "F1", "F-1", "F0", "P1", "P-1", "R1", "I1", "J1", "K1", "L1", "L1.5",
        "L-1", "L256", "$G",
    ),
    "groups and conflicts": (
        "G17 G18", "G17G17", "G20G21", "G90G91", "G90G91.1", "G93G94", "M3M4", "M3M5", "M8M9",
        "M0M1", "M2M30", "M3M8", "G54G55", "G0G1X1", "G0G0X0", "G28G1X1", "G28G30", "G10G92X1",
        "G4P0G53", "G43.1G0Z1", "G0G43.1Z1", "G49G0X0", "G80G0X0", "G0G80X0", "G80X1", "G80",
        "X1", "G0", "G1", "G1F100", "X0", "G53X0", "G53", "G0G53X0", "G53G2X1Y1I1F100", "G53 G80",
        "G61G61", "G40G40", "G43.1", "G43.1X1", "G43.1Z1X1", "G43.1Z0.5", "$#", _ASK, _ASK, "G49",
        "$G", "G38.2F10", "G38.2 X0F10",
    ),
    "words without use": (
        "G0X1I1", "M5P1", "G4P0R1", "G4P0X1", "G4", "G4S1", "G4P", "G4P-1", "G4 P0", "G4P0.01",
        "G4P0F5", "G21P1", "G0P1", "G0L1", "G0X0L1", "G0X0P1", "G0X0R1", "M3P1", "M30P1", "G90I1",
        "G10", "G10P1", "G10L2", "G10X1", "G10L2P1", "G10L2P7X1", "G10L2P0.5X0", "G10L2P-1X1",
        "G10L3P1X1", "G10L2R1P1X1", "G10L20R1P1X1", "G10L20P1R0", "G10L1P1X1", "G10L2P1I1",
        "G10L2P1X0I1", "G92", "G92X0I1", "G92.1X1", "G28X0I1", "G28.1X1", "G54X0I1", "G1F100X0Q1",
        "$G",
    ),
    "arcs refused": (
        "G2", "G2X1I1", "G2I1F10", "G2Z1I1F100", "G2X10Y0I3F100", "G2X0Y0R1F100", "G2X10R1F100",
        "G2X10Y0F100", "G18G2X10Z0J1F100", "G17", "G2X2R1I1F100", "G2X2Y0R1P1", "G2X2Y0I1P1",
        "G2X2Y0I1K1", "G2X0Y0I0J0", "G2X1Y0R0.5S5T3", "G80", "G3X2.01Y0I1J0F600",
        "G3X2.001Y0I1J0F600", "G91G2R1X0", "G17G2X1Z1I0.5K1", "G19G2Y1Z1R0.8", _STILL, _ASK, "$G",
    ),
    "arcs end": (
        "G17G2X2Y0I1J0F1000", _STILL, _ASK, "G3X0Y0I-1", _STILL, _ASK, "G2I1J1", _STILL, _ASK,
        "G2X1Y1R1", _STILL, _ASK, "G2X0Y0R-1", _STILL, _ASK, "G18G3X1Z1R1F500", _STILL, _ASK,
        "G19G2Y1Z0R1", _STILL, _ASK, "G17G91G2X1Y0Z0.5I0.5", _STILL, _ASK, "G90G3X0Y0I-1J-0.5",
        _STILL, _ASK, "G93G2X1Y1I1J0F20", _STILL, _ASK, "G94", "G20G2X0.1Y0.1R0.1F20", _STILL,
        _ASK,
    ),
    "modes": (
        "G1G55G18G20G91G93M3M8T7S1000.4F20", "$G", "$G", "G94", "$G", "G93", "$G", "F5", "$G",
        "G94F5", "$G", "G21", "$G", "F5.7", "$G", "S12.6", "$G", "S0", "$G", "M4", "$G", "M5M9",
        "$G", "T3", "$G", "G0", "$G", "G80", "$G", "M2", "$G", "G20", "M30", "$G", "G1", "F100",
        "G1X0", "G93G1X0", "G93G0X0", "G93G1X0F5", "X0", "G0X0", "G94", "G1X0", "F0", "G1X0",
        "$G",
    ),
    "inverse time": (
        "G93", "G1X1F10", "X2", "X2F20", "Y1", "G0Y0", "G94", "G1X0", "F500", "X0", "$G", _STILL,
        _ASK,
    ),
    "feeds and speeds as printed": (
        "F0.4", "$G", "F0.5", "$G", "F1.5", "$G", "F999.5", "$G", "F123456", "$G", "F1234567",
        "$G", "F99999999", "$G", "S0.4", "$G", "S99999", "$G", "S1234567", "$G", "G20F1", "$G",
        "F10.123", "$G", "$13=1", "$G", _ASK, "G21F254", "$G", "$13=0",
    ),
    "offsets": (
        "G10L2P1X1.5Y-2", "$#", _ASK, _ASK, "G10L2P2Z3.3333", "G55", _ASK, "$#", "G10L20P2X5",
        "$#", "G10L20P0Y1", "$#", "G92X1Y2Z3", _ASK, "$#", "G92Z0", "$#", "G43.1Z0.25", _ASK,
        "$#", "G92Z1", "$#", "G10L20P1Z1", "$#", "G92.1", _ASK, "$#", "G49", "G54", "G28.1",
        "G30.1", "$#", "G53G0X1Y1", _STILL, "G28.1", "$#", "G91G92X0", "$#", "G20G92X1", "$#",
        "G10L2P6X1", "$#", b"\x18", "$#", "$RST=#", 1.5, "$#",
    ),
    "offset reports": (
        "G10L2P1X1", _ASK, _ASK, _ASK, "G55", _ASK, _ASK, _ASK, "G54", _ASK, _ASK, "G92X1", _ASK,
        _ASK, "G43.1Z1", _ASK, _ASK, "M3S10", _ASK, _ASK, "M5", _ASK, _ASK, "M8", _ASK, "M9",
        _ASK, "M30", _ASK, _ASK, _ASK, "$RST=#", 1.5,
    ),
    "stored places": (
        "G0X1Y1", _STILL, "G28.1", "G0X2Y2", _STILL, "G30.1", "G0X0Y0", "G28", _STILL, _ASK,
        "G30", _STILL, _ASK, "G28X0", _STILL, _ASK, "G28X3Z1", _STILL, _ASK, "G91G28Z0", _STILL,
        _ASK, "G90", "G28F5", "G28S5", "$G", "$RST=#", 1.5,
    ),
    "settings": (
        "$0=2", "$0=3", "$0=255", "$0=256", "$0=10", "$1=255", "$1=1x", "$1=", "$1=1.9", "$1",
        "$5", "$100", "$7=1", "$8=1", "$14=1", "$33=1", "$99=1", "$103=1", "$123=1", "$133=1",
        "$140=1", "$999=1", "$256=1", "$-1=1", "$100=-1", "$100=0", "$100=250.1234",
        "$110=1000000", "$120=0.0004", "$120=0.0005", "$11=0.0104", "$12=0", "$13=2", "$13=0",
        "$20=1", "$22=2", "$20=1", "$22=0", "$21=1", "$21=0", "$23=7", "$24=0", "$25=1.5",
        "$26=1000", "$27=0", "$30=12.7", "$31=0.4", "$32=1", "$$", "$30=1000", "$32=1", "$32=0",
        "$=1", "$1 = 2", "$01=26", "$1=25;x", "$1=(a)25", "$1=+5", "$1=.5", "$1=25", "$RST=$",
        1.5, "$$", "$RST=x", "$RST", "$RST=", "$RST=**", "$RST=*", 1.5, "$$",
    ),
    "dollar": (
        "$Q", "$GG", "$G1", "$$$", "$$1", "$#1", "$CC", "$XX", "$X", "$X1", "$HH", "$H", "$HX",
        "$HZ", "$SLEEP", "$S", "$SL", "$I1", "$I=", "$I=a name 1", "$I", "$I=" + "x" * 90,
        "$I=" + "x" * 60, "$I", "$I=", "$N5", "$N0", "$N0=G20 G55", "$N1=G99", "$N2=G0",
        "$N-1=G0", "$N1=", "$N", b"\x18", "$N0=", "$N", "$NX", "$J", "$J1", "$J=", "$M", "$ME",
        "$L", "$a", "$A", "$E", "$F", "$P", "$T", "$V", "$#=", "$G=", "$?", "$RST=*", 1.5, "$N",
        "$I",
    ),
    "startup": (
        "$N0=G20G91", "$N1=M3S500", b"\x18", "$G", _ASK, "$N0=G0X", "$N0=", "$N1=G99",
        "$N1=G4P0.1", b"\x18", "$N1=$G", b"\x18", "$N0=(c)g21 ;x", "$N", "$N0=G0X0.5", _STILL,
        _ASK, b"\x18", _STILL, _ASK, "$RST=*", 1.5,
    ),
    "jogs": (
        "$J=X1", "$J=X1F10S5", "$J=G2X1F10", "$J=G0X1F10", "$J=G1X1F10", "$J=M3X1F10",
        "$J=G28X1F10", "$J=G4P1F10", "$J=F10", "$J=G91F10", "$J=X1F0", "$J=X1F-1", "$J=G17X1F10",
        "$J=G93X1F10", "$J=G94X1F10", "$J=G54X1F10", "$J=T1X1F10", "$J=N5X0F10", "$J=X1P1F10",
        "$J=A1F10", "$J=X0F100", "$G", "$J=G91X0.5F600", _STILL, _ASK, "$G", "$J=G20X0.1F60",
        _STILL, _ASK, "$J=G53X0F600", _STILL, _ASK, "$J=G91G21X1Y1Z1F600", _STILL, _ASK,
        "$J=G90X0Y0Z0F1000", _STILL, "$G", "$J = G91 X0.1 F600", _STILL, _ASK, "$j=g91x0.1f600",
        _STILL, _ASK,
    ),
    "jog and more lines": (
        "$J=G91X10F600", "G0X1", "$$", "$G", "$J=G91X-10F600", "G4P0", _STILL, b"\x85", _ASK,
        "$G",
    ),
    "jog cancelled": (
        "$J=G91X10F100", b"\x85", _STILL, "$G", "$J=G91X10F100", b"!", _STILL, "$G", b"~",
        "$J=G91X10F100", b"~", b"\x18", 1.0, "$X",
    ),
    "long lines": (
        "G1X" + "1" * 90, "G4P" + "0" * 76, "G4P" + "0" * 77, "(" + "x" * 90 + ")G4P0",
        "G4P0(" + "x" * 90 + ")", "G4P0" + " " * 90, "$" + "1" * 90, "$J=" + "X" * 90,
        ";" + "x" * 120, "G4P" + "0" * 67 + "(yyyyyyyyyyyyyyyyyyyyyyyyyyyyyy", _ASK,
        "G0" * 39 + "X", "G0" * 40, "$I=" + "a" * 76, "$I=" + "a" * 77, "$I=",
    ),
    "many bytes at once": (
        b"G4P0\n" * 25, b"G4P0.5\n" + b"G4P0\n" * 20, 2.0, b"G4P0.5" + b"\n" * 121, 2.0,
        b"G4P0.7\n(" + b"x" * 140 + b")\n", 2.0, b"\n", b"G4P0.7\n" + b"G4P0.00001\n" * 14, 2.5,
        b"\n", 0.5, "$G",
    ),
    "check mode": (
        "$C", _ASK, "G1X10F600", "G1Y10R2", "G2X1Y1I1J0", "M0", "G4P10", "M3S500", "$G", _ASK,
        "$$", "$#", "$J=X1F10", "$H", "$X", "$I", "$1=25", "G10L2P1X1", "G92X1", "G28.1", "!",
        b"!", _ASK, b"~", b"\x84", _ASK, "M8", _ASK, b"\xa0", _ASK, b"\x91", _ASK, "G38.2Z-10F10",
        "M30", "$G", "M2", "$SLP", "G0X1", "$C", _ASK, "$G", "$#", "$C", b"\x18", _ASK, "$RST=#",
        1.5,
    ),
    "program ends": (
        "G20G91G55G18G93M4S700M8F5", "M2", "$G", _ASK, "G21", "M30", "$G", "M3S100", "M0", _ASK,
        b"~", _ASK, "M1", "G1X1F500M30", _STILL, "$G", "M0", "$G", b"~", "G91G1X0.5M0", _STILL,
        _ASK, b"~", "G90G0X0M2", _STILL, "G92X5M30", "$G", "$#", "M30M3", "M2 S5", "$G",
    ),
    "overrides": (
        _ASK, _ASK, b"\x91", _ASK, b"\x91", b"\x91", b"\x94", _ASK, *(b"\x92",) * 12, _ASK,
        *(b"\x91",) * 20, _ASK, b"\x93", _ASK, b"\x94", b"\x94", _ASK, b"\x90", _ASK, b"\x96",
        _ASK, b"\x97", _ASK, b"\x95", _ASK, b"\x98", _ASK, b"\x9a", _ASK, b"\x9b", b"\x9b", _ASK,
        *(b"\x9a",) * 11, _ASK, b"\x9c\x9d", _ASK, b"\x99", _ASK, "M3S500", _ASK, b"\x9a", _ASK,
        *(b"\x9b",) * 10, _ASK, b"\x99", _ASK, b"\x9e", _ASK, b"\xa0", _ASK, b"\xa1", _ASK,
        b"\xa0", _ASK, b"\x9f", b"\x80", b"\x86", b"\xff", b"\xc3\x84", _ASK, b"\x92", "M30",
        _ASK, _ASK,
    ),
    "spindle": (
        "M3S500", _ASK, "S0", _ASK, _ASK, "S1", _ASK, "S2000", _ASK, "$G", "M4", _ASK, "M5", _ASK,
        "S500", _ASK, "M3", _ASK, "M8", _ASK, "M9", _ASK, "M3S0", _ASK, "G1X0.5F500S300", _STILL,
        _ASK, "$31=100", "M3S50", _ASK, "S0", _ASK, "$30=50", "S300", _ASK, "M5", "$RST=$", 1.5,
    ),
    "hold at rest": (
        b"!", _ASK, "G4P0", b"~", _ASK, b"!", b"\x9e", _ASK, b"~", b"~", "M3S500", b"!", _ASK,
        b"\x9e", _ASK, b"\x9e", _ASK, b"\x9e", b"~", _ASK, b"!", "$G", "$$", b"~", b"!", b"\x18",
        _ASK,
    ),
    "door by its byte": (
        b"\x84", _ASK, _ASK, "$G", b"~", _ASK, "G4P0", "M3S500", b"\x84", _ASK, b"~", _ASK,
        _STILL, _ASK, b"\x84", b"\x18", _ASK, b"\x84", b"!", _ASK, b"~", _STILL,
    ),
    "sleep": (
        "$SLP", _ASK, "G0X1", b"~", b"!", _ASK, b"\x84", _ASK, b"\x18", _ASK, "G0X1", "$SLP",
        b"\x18", "$X", _ASK,
    ),
    "lock": (
        "$22=1", b"\x18", _ASK, "G0X1", "G21", "M3S5", "$J=X1F10", "$C", "$$", "$#", "$G", "$N",
        "$I", "$N0=G20", "$1=25", b"!", _ASK, b"~", b"\x84", _ASK, b"\x91", _ASK, b"\xa0", _ASK,
        "$X", "$X", "$20=1", "G0X1", _ASK, b"\x18", "$X", "$J=X1F10", "$J=X-201F10", "G0X-201",
        _ASK, "G0X0", b"\x18", "$X", "$C", "G0X1", _ASK, "$C", b"\x18", "$X", "$22=0", "$RST=$",
        1.5, "$X",
    ),
    "probing": (
        "G38.2Z-1F100", _ASK, "$X", "$#", "G38.3Z-0.5F200", _ASK, "G38.4Z-1F100", _ASK, "$X",
        "G38.5Z-0.5F200", "$X", "$#", "G38.2F10", "$G", "G38.3X0Y0Z0", _STILL, "$G", "G90", "X1",
        "$G",
    ),
    "reset in motion": (
        "G1X5F60", 0.5, b"\x18", 1.0, "$G", "G0X1", "$X", "$#", "G0X0", _STILL, _ASK,
    ),
    "reset with lines behind": (
        "G1X5F60", 0.3, b"G4P1\nG1X6\nG1X7\n", 0.2, b"\x18", 1.0, b"\n", "$X", "G0X0", _STILL,
        _ASK,
    ),
    "hold then reset": (
        "G1X5F600", 0.6, b"!", _STILL, b"\x18", "$G", "G0X0", _STILL, _ASK,
    ),
    "hold in motion": (
        "G1X5F600", 0.6, b"!", 0.1, _STILL, b"G1X6\n$G\n", b"~", _STILL, _ASK, "G0X0", _STILL,
    ),
    "door in motion": (
        "M3S500", "G1X5F600", 0.6, b"\x84", _STILL, _ASK, b"~", _STILL, _ASK, "G0X0", _STILL,
    ),
    "laser": (
        "$32=1", "M4S0", "M4S500", _ASK, "G1X1F500S300", _STILL, _ASK, "$G", "M3S100", _ASK,
        "G0X0", _STILL, _ASK, "G1", _ASK, "G1X0.2", _STILL, _ASK, "S200", _ASK, "G0", _ASK,
        "G1S50", _ASK, "M5", _ASK, "M3", _ASK, b"!", _ASK, b"\x9e", _ASK, b"~", _ASK, b"\x84",
        _ASK, b"~", _STILL, _ASK, "G1X0S0", _STILL, _ASK, "M2", _ASK, "M3S100", "G2X1Y1I1S5",
        _STILL, _ASK, "G80", _ASK, "$32=0", "$RST=$", 1.5,
    ),
    "inches": (
        "$13=1", _ASK, "$#", "$G", "G20G0X0.1", _STILL, _ASK, "G10L2P1X1", "$#", "G43.1Z0.1",
        "$#", "$$", _ASK, "$J=X0F10", "$RST=*", 1.5,
    ),
    "rounding of steps": (
        "$100=80", "G0X10.007", _STILL, _ASK, "G0X-0.0001", _STILL, _ASK, "G0X0.006", _STILL,
        _ASK, "G0X0.00625", _STILL, _ASK, "G91", *("G0X0.001",) * 10, _STILL, _ASK, "G90G0X0",
        _STILL, "$100=33.333", "G0X3.14159", _STILL, _ASK, "$#", "G92X0", _ASK, "$#", "$RST=$",
        1.5,
    ),
    "codes of utf-8": (
        "(\xc3\x84)", _ASK, b"~", _STILL, "(\xc3\xa9)", _ASK, "(\xc2\xb0)", _ASK,
    ),
    "what comes after an alarm": (
        "G1X5F60", 0.3, b"\x18\nG4P0\n?$X\n", 1.5, "$G", "$X", "$20=1", "$22=1", "$20=1",
        "G0X201", b"\x18", 2.0, b"?G4P0\n", b"\x18", 0.5, "$X", "G38.2Z-0.1F100", b"G4P0\n?", 1.5,
        _ASK, "$X", "$22=0", "$RST=*", 1.5,
    ),
}
# fmt: on

# Where a moment in motion is caught: numbers are not compared, words are.
LOOSE: Final = frozenset(
    (
        "reset in motion",
        "reset with lines behind",
        "what comes after an alarm",
        "hold then reset",
        "hold in motion",
        "door in motion",
        "jog and more lines",
        "jog cancelled",
        "lock",
    )
)
