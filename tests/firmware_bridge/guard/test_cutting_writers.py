"""More writers of GRBL programs, each in its own manner with the verdict that a shop would give.

Written here after reading what such programs look like; no line is anybody's program.
"""

import pytest

from firmware_bridge import profiles
from firmware_bridge.guard import Stock, judge

MILL = profiles.load("generic-cnc-3018")
LASER = profiles.load("generic-laser-400")
PIECE = Stock(120, 90, 12)

FUSION_END = "M9\nG28 G91 Z0\nG90\nG28 G91 X0 Y0\nG90\nM5\nM30\n"
FUSION_START = "G90 G94\nG17\n{units}\nG28 G91 Z0\nG90\n\n(Op)\nT1\nS9000 M3\nG54\n"
FUSION_INCH = (
    FUSION_START.format(units="G20")
    + """\
G0 X0.4 Y0.31
Z0.6
Z0.2
G1 Z-0.06 F7.1
G0 Z0.2
Z0.6
"""
)
FUSION_RAMP = (
    FUSION_START.format(units="G21")
    + """\
G0 X31. Y32.
Z15.
G1 Z5. F1000.
Z1. F333.3
G3 X30. Z0.5 I-0.5 J0.
X31. Z0. I0.5
X30. Z-0.5 I-0.5
X31. Z-1. I0.5
G1 X50. F1000.
G2 X50.4 Y31.6 J-0.4
G18 G2 X50.8 Z-0.6 I0.4 K0.
G1 Z1. F333.3
G17
X30. F1000.
Z15.
"""
)
CARBIDE = """\
(stockMin:0.00{u}, 0.00{u}, -1.00{u})
G90
{units}
(Move to safe Z to avoid workholding)
G53G0Z-{up}
(Toolpath 1)
M05
{tool}
M03S11000
(PREPOSITION FOR RAPID PLUNGE)
G0X{a}Y{a}
Z{z}
G1Z-{deep}F{slow}
X{b}F{fast}
G3X{b}Y{b}I0.0000J{half}
G0Z{z}
M05
M02
"""
METRIC = {"u": "mm", "units": "G21", "up": "5.000", "a": "12", "b": "40", "half": "14", "z": "4",
          "deep": "0.9", "slow": "250", "fast": "900"}  # fmt: skip
IMPERIAL = {"u": "in", "units": "G20", "up": "0.197", "a": "0.5", "b": "1.5", "half": "0.5",
            "z": ".25", "deep": ".05", "slow": "9", "fast": "35"}  # fmt: skip
GCODETOOLS = """\
%
(Header)
(Using default header. To add your own create file "header" in the output dir.)
{spindle}
(Header end.)
G21 (All units in mm)

(Start cutting path id: path7)
(Change tool to Default tool)

G00 Z5.000000
G00 X42.500000 Y44.250000

g01 Z-0.250000 F100.0(Penetrate)
G03 x32.500000 y44.250000 Z-0.250000 I-5.000000 J0.000000 F400.000000
G01 X38.125000 Y28.750000 Z-0.250000
G00 Z5.000000

(Footer)
M5
G00 X0.0000 Y0.0000
M2
(end)
%
"""
PCB2GCODE = """\
( pcb2gcode )
( Software-independent Gcode )

G94 ( Millimeters per minute feed rate. )
G21 ( Units == Millimeters. )

G90 ( Absolute coordinates. )
G00 S10000 ( RPM spindle speed. )
{blend}G01 F100.00000 ( Feedrate. )

G00 Z18.00000 (Retract to tool change height)
T0
M5 (Spindle stop.)
G04 P1.00000 (Wait for spindle to stop)
{change}M3 ( Spindle on clockwise. )
G04 P1.00000 (Wait for spindle to get up to speed)

G00 X2.50000 Y3.50000 ( rapid move to begin. )
G01 F50.00000
G01 Z-0.10000
G04 P0 ( dwell for no time )
G01 F100.00000
X6.50000 Y3.50000
X6.50000 Y8.00000

G00 Z18.00000 ( retract )
M5 ( Spindle off. )
G04 P1.00000
M9 ( Coolant off. )
M2 ( Program end. )
"""
FENGRAVE = """\
( Cutting Depth: -0.01 )
(fengrave_set   TCODE   070 045 )
G90
{blend}G91.1
G20
G00 Z0.25
M3 S3000
G04 P2
G0 X0.21 Y0.32
G1 Z-0.01 F5.0
G1 X0.21 Y0.64 F9.0
G2 X0.31 Y0.64 I0.05 J0.
G0 Z0.25
M5
M2
"""
BCNC = """\
(Block-name: Header)
(Block-expand: 0)
(Block-enable: 1)
G90 ; Absolute
G40 ; Clear tool compensator
G17 G21 ; XY plane metric
M3 S9000
G4 P3
g0 z3
(Block-name: block)
g0 x12 y13
g0 z0.7
g1 z-1 f60
g1 x20 y10 f120
g2 x30 y20 i0 j10
G00 Z3.0000;
m5
g0 x0 y0
m2
"""
JSCUT = """\
G21         ; Set units to mm
G90         ; Absolute positioning
{spindle}G1 Z2.5 F2500      ; Move to clearance level
; Path 0
; Rapid to initial position
G1 X3.0000 Y21.0000 F2500
G1 Z0.0000
; plunge
G1 Z-2.7500 F127
; cut
G1 X3.0000 Y4.0000 F1000
G1 X22.0000 Y4.0000
; Retract
G1 Z2.5000 F2500
M2
"""
ADAPTIVE = """\
(Exported by FreeCAD)
G17 G90
G21
(Begin operation: Adaptive)
M3 S10000
G0 Z15.000
G0 X60.000 Y40.000
G1 X60.000 Y40.000 Z0.000 F200.000
G3 X58.000 Y40.000 Z-1.000 I-1.000 J0.000 K0.000 F400.000
G3 X60.000 Y40.000 Z-1.000 I1.000 J0.000 K0.000 F400.000
G3 X58.000 Y40.000 Z-1.000 I-1.000 J0.000 K0.000 F400.000
G1 X57.600 Y40.000 F400.000
G0 X58.300 Y40.000 Z-1.000
G0 Z15.000
M5
G17 G90
M2
"""
MILLS = [
    ("Fusion, inches", "accept", FUSION_INCH + FUSION_END),
    ("Fusion, ramps and leads", "accept", FUSION_RAMP + FUSION_END),
    ("Fusion, stop and second tool", "review", FUSION_RAMP + "M5\nM0\nT2 M6\n" + FUSION_END),
    ("Carbide Create, one tool", "accept", CARBIDE.format(**METRIC, tool="(T102)")),
    ("Carbide Create, inches", "accept", CARBIDE.format(**IMPERIAL, tool="(T102)")),
    ("Carbide Create, tool change", "review", CARBIDE.format(**METRIC, tool="M6T302")),
    ("Gcodetools", "accept", GCODETOOLS.format(spindle="M3 S9000")),
    ("Gcodetools, bare M3", "review", GCODETOOLS.format(spindle="M3")),
    ("pcb2gcode", "accept", PCB2GCODE.format(blend="", change="")),
    ("pcb2gcode, tool change", "review", PCB2GCODE.format(blend="", change="M6\nM0\n")),
    ("pcb2gcode, blended", "reject", PCB2GCODE.format(blend="G64 P0.01\n", change="")),
    ("F-Engrave", "accept", FENGRAVE.format(blend="")),
    ("F-Engrave, blended", "reject", FENGRAVE.format(blend="G64 P0.001\n")),
    ("bCNC", "accept", BCNC),
    ("jscut", "accept", JSCUT.format(spindle="M3 S9000\n")),
    ("jscut without a spindle", "reject", JSCUT.format(spindle="")),
    ("FreeCAD, adaptive", "review", ADAPTIVE),
    ("FreeCAD, adaptive beside it", "reject", ADAPTIVE.replace("X58.300 Y40", "X58.300 Y42.5")),
]

LIGHTBURN = """\
; LightBurn 1.6.00
; GRBL device profile, absolute coords
G00 G17 G40 G21 G54
G90
{on}
; Cut @ 900 mm/min, 80% power
M8
G0 X21Y22
; Layer C00
G1 Y40S800F900
{body}M9
G1 S0
M5
G90
; return to user-defined finish pos
G0 X0 Y0
{script}M2
"""
SCRIPT = ";USER END SCRIPT\nG90 G21\nG0 Z5\nM5\nM9\n;USER END SCRIPT\n"
LIGHTBURN_OLD = """\
; LightBurn 0.9.24
; GRBL-M3 (1.1e or earlier) device profile, current position
G00 G17 G40 G21 G54
G91
; Cut @ 900 mm/min, 55% power
M9
M5
G0X22Y23
; Layer C02
M3
G1X-0.5Y-0.5S550F900
G1X-0.25Y-0.75
M5
G0X10Y10
M3
G1X-0.25Y-0.75S550
M9
G1S0
M5
G90
M2
"""
LASERWEB = """\
; Operation:    0
; Type:         Laser Cut
; Pass 0 Path 0
G0 X3.25 Y41.50
; Pass Z Height 1mm (Offset: 0mm)
G0 Z1.00
; Adaptive Power ($31 must be set to 1)
M4
S1000.00
G1 X45.10 Y48.70 F5000
G1 X90.20 Y77.30
M5
; End
"""
JTECH = """\
M05 S0
G90
G21
G1 F3000
G1  X24.5 Y31.5
G4 P0
{on} S255
G4 P0
G1 F900.000000
G1  X30.5 Y31.5
G2 X35.5 Y36.5 I0. J5.
G4 P0
M05 S0
G1 F3000
G1 X0 Y0
"""
LASERGRBL = """\
G90 (use absolute coordinates)
G0 X0 Y0
{on} S0
F1000
G0 X5 Y6 S0
G1 X5.1 S120
X5.2 S255
X5.3 S0
G0 Y6.1
G1 X5.2 S1
X5 S90
M5 S0
G0 X0 Y0 S0
"""
PICTURE = """\
;    pixelsize 0.1
G00 G17 G40 G21 G54
G90
M5
M8
M4
G0X11Y12
G1F800
X11.1S23
X11.2S250
Y12.1S0
X11.1S90
G0X30Y12
G1X30.1S40
M5
M9
M2
"""
VISICUT = "G21\nG90\nM3 S0\nG0 X3 Y4 S0 F3600\nG1 X22 Y4 S300 F500\nG1 X22 Y9\nG0 X30 Y9 S0\nM5\n"
FUSION_BEAM = (
    "G90 G94\nG17\nG21\nG28 G91 Z0\nG90\n\n(Op)\nT1\nG54\nG0 X21 Y22\nZ0\nM3 S900\nG1 X30 F800\n"
    "G2 X35 Y27 J5\nM5\nG0 X50\nM3 S900\nG1 Y40 F800\nM5\nG28 G91 Z0\nG90\nM30\n"
)
LASERS = [
    ("LightBurn, scripts", "accept", LIGHTBURN.format(on="M4", body="X30\n", script=SCRIPT)),
    ("LightBurn, constant", "review", LIGHTBURN.format(on="M3", body="X30\n", script="")),
    ("LightBurn, ten passes", "review",
     LIGHTBURN.format(on="M4", body="G1 Y22\nG1 Y40\n" * 5, script="")),
    ("LightBurn for old GRBL, from here", "review", LIGHTBURN_OLD),
    ("LaserWeb", "accept", LASERWEB),
    ("J Tech", "review", JTECH.format(on="M03")),
    ("J Tech with M4", "accept", JTECH.format(on="M4")),
    ("LaserGRBL", "accept", LASERGRBL.format(on="M4")),
    ("LaserGRBL, constant", "review", LASERGRBL.format(on="M3")),
    ("a picture", "accept", PICTURE),
    ("VisiCut", "review", VISICUT),
    ("VisiCut of old, lit on the way", "reject", VISICUT.replace("Y9 S0", "Y9")),
    ("Fusion's beam", "review", FUSION_BEAM),
]  # fmt: skip


@pytest.mark.parametrize(("writer", "verdict", "program"), MILLS)
def test_mills(writer: str, verdict: str, program: str) -> None:
    found = judge(program.encode(), MILL, PIECE)
    assert found.decision == verdict, (writer, found.findings)


@pytest.mark.parametrize(("writer", "verdict", "program"), LASERS)
def test_lasers(writer: str, verdict: str, program: str) -> None:
    found = judge(program.encode(), LASER)
    assert found.decision == verdict, (writer, found.findings)
