"""Every rule of the guard by its name, in words for the person who has to decide.

The judges use these names in their findings; a test holds the list against them.
"""

from typing import Final

RULES: Final[dict[str, str]] = {
    "file": "The file cannot be read, or is no text.",
    "size": "More bytes or lines than the profile takes (bytes_max, lines_max).",
    "empty": "Nothing in it moves.",
    "control": "A control character, or a carriage return in mid-line that hides a command.",
    "ascii": "A command with a character beyond ASCII; comments may have any.",
    "length": "A command longer than the machine's buffer; comments do not count.",
    "numbered": "Line numbers and checksums are ours to write, not the program's.",
    "spelling": "Not written in the one way that every firmware reads alike.",
    "realtime": "A character that a GRBL controller obeys at once, wherever it stands.",
    "host": "Text that a host could take for an order of the machine (//action).",
    "code": "A code that the profile does not list, or whose effect the guard does not know.",
    "words": "A code with a word too many, twice, or of the wrong kind.",
    "person": "Waits for a person or changes the set-up.",
    "setting": "A setting beyond reason: acceleration, speed, flow, fan.",
    "homing": "Moves before homing, or homes Z over a part.",
    "offset": "Moves the program's zero (G92 X, Y or Z), and with it the envelope.",
    "envelope": "Leaves the machine's travel.",
    "arc": "An arc that cannot be drawn as it is written.",
    "feed": "A feed of nothing, below nothing or above the machine's.",
    "low": "Moves below the top of what is already printed, through it.",
    "temperature": "Hotter than machine or material may get, or below zero.",
    "cold": "Pushes filament before the nozzle was waited for.",
    "blob": "Piles filament up in one place.",
    "retraction": "Pulls filament out further than any slicer does.",
    "swings": "Heats and cools the nozzle again and again.",
    "dwell": "Waits too long.",
    "material": "A material that this machine does not work.",
    "left on": "Ends with heat, spindle or laser on; a note: the guard's footer turns it off.",
    "block": "About the shop's own start and end block.",
    "depth": "Deeper than the stock and what may be cut into the table.",
    "power": "More laser power or spindle speed than the machine has.",
    "spindle": "Cuts with the spindle standing still.",
    "rapid": "A rapid move into or through the stock.",
    "start": "Moves from a place that the program did not tell.",
    "end": "Goes on after its end.",
    "beam in rapid": "Laser power during a rapid move.",
    "beam at rest": "Laser power while nothing moves.",
    "constant power": "Burns with constant power (M3) where M4 would fade it.",
}
