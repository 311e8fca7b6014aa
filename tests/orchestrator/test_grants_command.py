"""`cosmolocal grant`, as typed, against a real server."""

from tests.orchestrator.proposals.test_proposals import SQUARE
from tests.orchestrator.test_forks_command import Shell, shell

__all__ = ["shell"]


def test_a_grant_from_the_shell(shell: Shell) -> None:
    file = shell.folder / "plate.svg"
    file.write_text(SQUARE)
    given = ("--licence", "CC-BY-NC-4.0", "--licensor", "Ada", "--title", "Plate")
    key = str(shell.json("publish", str(file), *given)["maintainer_key"])
    asked = ("grant", "new", "plate", "--everybody", "--versions", "1.0.0..", "--most", "5")
    said = shell.run(*asked, status=1)
    assert "reference: nobody can look up who permitted it" in said
    made = shell.json(*asked, "--key", key)
    assert (made["by"], made["recorded_by"], made["most_units"]) == ("Ada", "licensor", 5)
    assert (made["first_version"], made["last_version"]) == ("1.0.0", None)
    listed = shell.run("grant", "list", "plate")
    assert f"{made['id']}: Ada lets every lab make paid, 5 pieces" in listed
    assert "WITHDRAWN" in shell.run("grant", "withdraw", str(made["id"]), "--why", "over")
    assert "currency" in shell.run(*asked, "--fee-cents", "5", "--key", key, status=1)
