"""Every rule of the guard removed in turn: some test of the guard must fail for each"""

import argparse
import ast
import dataclasses
import importlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import at_least_one
from bench.altered import Altered

ROOT = Path(__file__).resolve().parents[2]
GUARD = ROOT / "firmware_bridge" / "guard"
TESTS = ("tests/firmware_bridge/guard", "tests/fablab_agents/cli/test_guard.py")
RESULTS = ROOT / ".tools" / "guard-mutants.json"
TESTED_AS = {"head": "printing", "hotend": "printing"}
SAYS = ("reject", "review", "note", "each")
DEADLINE_S = 900


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change to one module: the `index`-th site of its tree, in `way`."""

    module: str
    index: int
    line: int
    way: str
    shown: str

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line} {self.way}: {self.shown}"


def mutants() -> list[Mutant]:
    return [
        Mutant(path.stem, index, line, way, shown)
        for path in sorted(GUARD.glob("*.py"))
        for index, line, way, shown in _sites(ast.parse(path.read_text()))
    ]


def _sites(tree: ast.Module) -> Iterator[tuple[int, int, str, str]]:
    for index, node in enumerate(ast.walk(tree)):
        shown = ast.unparse(node)[:70] if isinstance(node, ast.expr | ast.Raise) else ""
        if _tells(node) or _refuses(node):
            yield index, _line(node), "silent", shown
        elif isinstance(node, ast.Compare):
            yield index, node.lineno, "never", shown
            yield index, node.lineno, "always", shown


def _line(node: ast.AST) -> int:
    return node.lineno if isinstance(node, ast.expr | ast.Raise) else 0


def _tells(node: ast.AST) -> bool:
    """`findings.reject(…)` and its like, or a fault that a generator yields."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in SAYS
    ) or (isinstance(node, ast.Yield) and isinstance(node.value, ast.Tuple))


def _refuses(node: ast.AST) -> bool:
    """`raise LineError(…)` and its like: GRBL would stop there, so the program is refused."""
    return isinstance(node, ast.Raise) and not isinstance(node.exc, ast.Name)


def mutated(mutant: Mutant) -> ast.Module:
    """The module's tree with that one change."""
    tree = ast.parse((GUARD / f"{mutant.module}.py").read_text())
    target = list(ast.walk(tree))[mutant.index]

    class Change(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            if node is target:
                value = {"silent": None, "never": False, "always": True}[mutant.way]
                if isinstance(node, ast.Raise):
                    return ast.copy_location(ast.Pass(), node)
                return ast.copy_location(ast.Constant(value), node)
            return self.generic_visit(node)

    Change().visit(tree)
    return ast.fix_missing_locations(tree)


def _altered(mutant: Mutant) -> Altered:
    package = "firmware_bridge.guard"
    name = package if mutant.module == "__init__" else f"{package}.{mutant.module}"
    file = GUARD / f"{mutant.module}.py"
    return Altered(name, file, compile(mutated(mutant), str(file), "exec"))


def killed(mutant: Mutant | None, tests: Sequence[str]) -> bool:
    """Whether a test fails with this mutant in place (None: as it is): in a child that may hang."""
    child = os.fork()
    if child == 0:
        _in_child(mutant, tests)
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) != 0
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _in_child(mutant: Mutant | None, tests: Sequence[str]) -> None:
    import pytest

    os.chdir(ROOT)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    status = 1
    try:
        if mutant is not None:
            sys.meta_path.insert(0, _altered(mutant))
        status = pytest.main([*tests, "-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider",
                              "-p", "no:xdist", "--assert=plain", "--hypothesis-seed=1",
                              "-W", "ignore::pytest.PytestAssertRewriteWarning"])  # fmt: skip
    finally:
        os._exit(int(status))


def _warm() -> None:
    """What every child needs, imported once; of the guard nothing."""
    for name in ("hypothesis.extra", "numpy", "pytest", "firmware_bridge.profiles"):
        importlib.import_module(name)


def tests_of(module: str) -> list[str]:
    """Its own tests first: most mutants die there at once."""
    files = sorted((ROOT / TESTS[0]).glob("test_*.py"))
    files = [path for path in files if path.name != "test_mutants.py"]
    own = TESTED_AS.get(module, module)
    files.sort(key=lambda path: not path.stem.startswith(f"test_{own}"))
    return [*(str(path.relative_to(ROOT)) for path in files), TESTS[1]]


def run(chosen: Sequence[Mutant], results: Path | None) -> list[Mutant]:
    """The survivors; what `results` knows of unchanged sources is not tried again."""
    _warm()
    known: dict[str, bool] = json.loads(results.read_text()) if results and results.exists() else {}
    if results and killed(None, tests_of("printing")):
        raise SystemExit("the guard's tests fail as they are: mend them first")
    survivors: list[Mutant] = []
    for at, mutant in enumerate(chosen, 1):
        key = f"{hash_of(mutant.module)} {mutant.index} {mutant.way}"
        if key not in known:
            known[key] = killed(mutant, tests_of(mutant.module))
            if results:
                results.parent.mkdir(exist_ok=True)
                results.write_text(json.dumps(known))
        if not known[key]:
            survivors.append(mutant)
            print(f"SURVIVES  {mutant.name}", flush=True)
        if at % 25 == 0:
            print(f"{at} of {len(chosen)}, {len(survivors)} survive", flush=True)
    return survivors


def hash_of(module: str) -> str:
    import hashlib

    return hashlib.sha256((GUARD / f"{module}.py").read_bytes()).hexdigest()[:16]


def main() -> int:
    parser = argparse.ArgumentParser(
        "run proof guard_mutants",
        description="Removes each rule and each comparison of the guard in turn and runs its tests."
        " It can be stopped and goes on where it was; what it knows is in .tools/.",
    )
    parser.add_argument("--module", help="only this file of firmware_bridge/guard")
    parser.add_argument("--sample", type=at_least_one, help="only so many, drawn by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rules", action="store_true", help="only what tells or refuses")
    parser.add_argument("--quick", action="store_true", help="trust the tests, remember nothing")
    parser.add_argument("--again", action="store_true", help="forget what is known")
    asked = parser.parse_args()
    if asked.again:
        RESULTS.unlink(missing_ok=True)
    chosen = [m for m in mutants() if asked.module in (None, m.module)]
    chosen = [m for m in chosen if m.way == "silent" or not asked.rules]
    if asked.sample:
        chosen = random.Random(asked.seed).sample(chosen, min(asked.sample, len(chosen)))
    survivors = run(chosen, None if asked.quick else RESULTS)
    share = 100 * (1 - len(survivors) / len(chosen)) if chosen else 0
    print(f"{len(chosen)} mutants, {len(survivors)} survive: {share:.1f} % are found by a test")
    return 1 if any(mutant.way == "silent" for mutant in survivors) else 0


if __name__ == "__main__":
    sys.exit(main())
