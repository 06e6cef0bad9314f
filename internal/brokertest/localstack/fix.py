"""Adapts an installed localstack-core to its use as a test broker. Running it again changes nothing.

LocalStack's source is written for Python 3.13. Debian 12 has Python 3.11, which lacks type parameters (class X[T], def f[T]), type
aliases (type X = ...) and warnings.deprecated.

LocalStack also ignores the host of GATEWAY_LISTEN and listens on all interfaces.
"""

import ast
import importlib.util
import pathlib
import re
import sys

PARAMETRIZED = re.compile(r"^(\s*(?:async )?(?:class|def) \w+)\[([^\]\n]*)\](.*)$")
PLAIN = [
    (re.compile(r"^type (\w+) = ", re.M), r"\1 = "),
    (re.compile(r"^from warnings import deprecated$", re.M), "from typing_extensions import deprecated"),
    (re.compile(r"^from typing import (.*\boverride\b.*)$", re.M), r"from typing_extensions import \1"),
    (
        re.compile(r"TCP4ServerEndpoint\(reactor, host_and_port\.port\)"),
        "TCP4ServerEndpoint(reactor, host_and_port.port, interface=host_and_port.host)",
    ),
]


def without_parameters(line, names):
    """Returns a line whose class or function has no type parameters, and adds these to names."""
    match = PARAMETRIZED.match(line)
    if not match:
        return line
    head, parameters, rest = match.groups()
    own = [p.split(":")[0].split("=")[0].strip() for p in parameters.split(",") if p.strip()]
    names.update(dict.fromkeys(own))
    if "class " not in head or "[" in rest:  # a function, or a class that inherits its parameters
        return head + rest
    generic = "_Generic[" + ", ".join(own) + "]"
    if rest.startswith(":"):
        return f"{head}({generic}){rest}"
    bases, end = rest.removeprefix("(").split(")", 1)
    return f"{head}({bases}, {generic}){end}"


def definitions(names):
    """Returns the lines that define type variables."""
    lines = ["from typing import Generic as _Generic, TypeVar as _TypeVar"]
    return lines + [f'{name} = _TypeVar("{name}")' for name in names]


def start(source):
    """Returns the number of the line behind the docstring and the imports from __future__."""
    line = 0
    for node in ast.parse(source).body:
        docstring = line == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not docstring and not (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            break
        line = node.end_lineno
    return line


def fixed(source):
    names = {}
    text = "\n".join(without_parameters(line, names) for line in source.split("\n"))
    for pattern, replacement in PLAIN:
        text = pattern.sub(replacement, text)
    if names:
        lines = text.split("\n")
        at = start(text)
        text = "\n".join(lines[:at] + definitions(names) + lines[at:])
    return text


def main():
    root = pathlib.Path(importlib.util.find_spec("localstack").submodule_search_locations[0])
    for path in root.rglob("*.py"):
        source = path.read_text()
        text = fixed(source)
        try:
            compile(text, str(path), "exec")
        except SyntaxError as error:
            sys.exit(f"{path}: {error}")
        if text != source:
            path.write_text(text)
    if "interface=host_and_port.host" not in (root / "runtime/server/twisted.py").read_text():
        sys.exit("LocalStack would listen on all interfaces: the fix does not fit its version")


main()
