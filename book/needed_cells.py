"""Which cells of a submission its exercises need: what `make grade` runs with `--quick`.

A few seconds a submission instead of a minute or two. It goes by names alone, so a cell that changes another one's
values in a way that no name shows is missed; the run of all cells has the last word.
"""

from __future__ import annotations

import ast
import re
import symtable

CHECKED = re.compile(r"""\bcheck\(\s*["'](\w+)\.(\w+)["']""")  # notebook, exercise


def needed(cells: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """The cells that the checks depend on by the names in them; of the others, the import statements."""
    kept, names = [], set()
    for number, source in reversed(cells):
        try:
            tree, table = ast.parse(source), symtable.symtable(source, "cell", "exec")
        except (SyntaxError, ValueError, RecursionError):  # IPython's own commands, or the student's mistake
            kept.append((number, source))
            continue
        if CHECKED.search(source) or names & (defined(table) | changed(tree)):
            kept.append((number, source))
            names = names - anew(tree) | used(table)
        else:
            imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
            kept.append((number, "\n".join(map(ast.unparse, imports))))
    return kept[::-1]


def defined(table: symtable.SymbolTable) -> set[str]:
    """The names that a cell gives a value."""
    return {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() and not symbol.is_imported()}


def anew(tree: ast.Module) -> set[str]:
    """The names that a cell gives a value in any case, so that cells before it do not matter."""
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    return names | {target.id for target in targets if isinstance(target, ast.Name)}


def used(table: symtable.SymbolTable) -> set[str]:
    """The notebook's names that a cell uses, in its functions as well."""
    top = table.get_type() == "module"
    symbols = [symbol for symbol in table.get_symbols() if symbol.is_referenced() and (top or symbol.is_global())]
    return {symbol.get_name() for symbol in symbols}.union(*map(used, table.get_children()))


def changed(tree: ast.Module) -> set[str]:
    """The names whose values a cell changes in place, as in `x[0] = 1` and `x.append(1)`."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case (
                ast.Subscript(ctx=ast.Store(), value=inner)
                | ast.Attribute(ctx=ast.Store(), value=inner)
                | ast.Expr(value=ast.Call(func=ast.Attribute(value=inner)))
            ):
                while isinstance(inner, ast.Subscript | ast.Attribute):
                    inner = inner.value
                names.add(getattr(inner, "id", ""))
    return names
