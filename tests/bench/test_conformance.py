"""What the table of the contract says of a report: nothing that failed is called anything else."""

from bench.conformance import Cell, read, table

REPORT = """<testsuites><testsuite>
<testcase name="test_stop[grbl]"/>
<testcase name="test_stop[marlin]"><failure message="no">trace</failure></testcase>
<testcase name="test_two_hosts[grbl]"><error message="broke"/></testcase>
<testcase name="test_two_hosts[octoprint@conformance-octoprint]">
  <skipped message="Skipped: exempt: OctoPrint owns the port"/></testcase>
<testcase name="test_stop[octoprint]"><skipped message="Skipped: it is not here"/></testcase>
<testcase name="test_every_driver_has_a_stand_in"/>
</testsuite></testsuites>"""


def test_every_cell_is_read_as_it_was() -> None:
    assert list(read(REPORT)) == [
        Cell("grbl", "stop", "pass"),
        Cell("marlin", "stop", "FAIL"),
        Cell("grbl", "two hosts", "FAIL"),
        Cell("octoprint", "two hosts", "exempt", "OctoPrint owns the port"),
        Cell("octoprint", "stop", "skipped", "it is not here"),
    ]


def test_the_table_has_each_reason_once() -> None:
    rows = table(list(read(REPORT))).splitlines()
    assert rows[0].split() == ["grbl", "marlin", "octoprint"]
    assert rows[1].split() == ["stop", "pass", "FAIL", "skipped", "(1)"]
    assert rows[2].split() == ["two", "hosts", "FAIL", "-", "exempt", "(2)"]
    assert rows[4:] == ["(1) it is not here", "(2) OctoPrint owns the port"]
