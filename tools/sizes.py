"""Tells how long functions and files are, package by package.

It reports and never judges: a long function is a question, not a failure.
"""

import ast
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
PACKAGES = {
    "designs": "designs",
    "scheduling": "scheduling",
    "firmware_bridge": "firmware_bridge",
    "hardware_sim": "hardware-sim/hardware_sim",
    "fablab_agents": "fablab_agents",
    "orchestrator": "orchestrator",
    "demo": "demo",
    "tools": "tools",
    "bench": "bench",
    "tests": "tests",
}


@dataclass(frozen=True)
class Sizes:
    """Lines of each file and function of one package; `code` counts neither blanks nor comments."""

    code: int
    files: dict[str, int]
    functions: dict[str, int]


def measure(folder: Path) -> Sizes:
    """Read every Python file below `folder`."""
    code = 0
    files: dict[str, int] = {}
    functions: dict[str, int] = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        where = str(path.relative_to(HERE))
        files[where] = len(text.splitlines())
        code += sum(1 for line in text.splitlines() if line.strip() and line.strip()[0] != "#")
        functions |= {f"{where}:{name}": size for name, size in _functions(ast.parse(text))}
    return Sizes(code, files, functions)


def _functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield f"{node.lineno} {node.name}", node.end_lineno - node.lineno + 1


def _p95(values: list[int]) -> int:
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else 0


def _longest(sizes: dict[str, int], count: int) -> str:
    top = sorted(sizes.items(), key=lambda item: -item[1])[:count]
    return "".join(f"  {size:5}  {name}\n" for name, size in top)


def main() -> None:
    """Print one line per package, then the longest functions and files of the product."""
    found = {name: measure(HERE / folder) for name, folder in PACKAGES.items()}
    print(f"{'lines':<16}{'code':>7}{'files':>7}{'p95':>6}{'functions':>11}{'median':>8}{'p95':>6}")
    for name, sizes in found.items():
        lines = list(sizes.functions.values())
        if not sizes.files:
            continue
        print(
            f"{name:<16}{sizes.code:>7}{len(sizes.files):>7}{_p95(list(sizes.files.values())):>6}"
            f"{len(lines):>11}{statistics.median(lines or [0]):>8.0f}{_p95(lines):>6}"
        )
    product = [sizes for name, sizes in found.items() if name not in ("tests", "bench", "tools")]
    functions = {name: size for sizes in product for name, size in sizes.functions.items()}
    files = {name: size for sizes in product for name, size in sizes.files.items()}
    lines = list(functions.values())
    print(
        f"product: {sum(sizes.code for sizes in product)} lines of code; functions: median "
        f"{statistics.median(lines or [0]):.0f}, 95 % up to {_p95(lines)} (house: 8 and 40)"
    )
    print(f"longest functions\n{_longest(functions, 5)}longest files\n{_longest(files, 5)}", end="")


if __name__ == "__main__":
    main()
