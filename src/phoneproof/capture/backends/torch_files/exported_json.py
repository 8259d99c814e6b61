"""The JSON of a torch.export archive, taken over part by part.

`torch.export.load` evaluates what stands in the text: size expressions go through sympy's parser
(which is Python's `eval`), guards are compiled, names become source code, targets are looked up in
torch by their path. So only parts that are known are passed on, and each of them is checked.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Final

from phoneproof.capture.backends.torch_files.records import printable
from phoneproof.core.errors import InvalidInput, PhoneproofError, Unsupported

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

MAX_DEPTH: Final = 60
MAX_POWER: Final = 8

_WORD: Final = re.compile(r"[A-Za-z0-9_.]{0,400}", re.ASCII)
"""Names of values and of modules: nothing that could be code."""

_DUNDER: Final = re.compile(r"__\w*__", re.ASCII)
"""Python's own attributes; as the name of a value or a target they reach behind the object."""

_DUNDER_OPERATORS: Final = ("__and__", "__or__", "__xor__", "__lshift__", "__rshift__")
"""ATen operators, and the values named after them."""

_OPERATOR: Final = re.compile(r"torch\.ops\.(\w+)\.(\w+)\.(\w+)", re.ASCII)
"""Namespace, name, overload: without the last it may be a method of the namespace itself."""

_SCALAR_FUNCTIONS: Final = re.compile(
    r"_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pow|eq|ne|lt|le|gt|ge|and_|or_|getitem)"
    r"|torch\.sym_(max|min|int|float|not|ite|sqrt|sum)|torch\._sym_sqrt|math\.(ceil|floor|trunc|sqrt)",
    re.ASCII,
)
_OUTSIDE: Final = frozenset({"from_file", "save"})
"""ATen operators with a file name among their arguments."""

_SYMBOLIC: Final = frozenset(
    {
        *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Mod", "Max", "Min"),
        *("FloorDiv", "ModularIndexing", "CleanDiv", "CeilDiv", "CeilToInt", "FloorToInt"),
        *("TruncToInt", "PythonMod", "PowByNatural", "IntTrueDiv", "FloatTrueDiv", "ToFloat"),
        *("Equality", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Identity"),
        *("StrictLessThan", "LessThan", "StrictGreaterThan", "GreaterThan", "Unequality"),
    }
)
_SYMBOL_NAME: Final = re.compile(r"[a-z]\w{0,60}", re.ASCII)

_EMPTIED: Final[Mapping[str, Json]] = {
    "metadata": {},
    "guards_code": [],
    "treespec_namedtuple_fields": {},
}
"""Where the program came from, and code that guards its inputs: not needed, not passed on."""

_FREE_TEXT: Final = ("as_string", "torch_version")
"""Text that is only ever compared or handed to an operator as a value."""

_NOT_PLAIN: Final = ("as_graph", "as_custom_obj", "as_operator")
"""Arguments that only higher-order operators take."""

_TREES: Final = ("in_spec", "out_spec")
_TREE_TYPES: Final = (None, "builtins.tuple", "builtins.list")


def checked_program(data: bytes, *, name: str) -> dict[str, Json]:
    """The program's JSON with nothing in it that loading would execute.

    Args:
        name: of the file, for messages.

    Raises:
        InvalidInput: not JSON, or text where only names and sizes belong.
        Unsupported: operators of other libraries, nested graphs, inputs that are no tensors.
    """
    try:
        program: Json = json.loads(data)
        if not isinstance(program, dict):
            raise _not_program(name, type(program).__name__)
        calls = program.get("graph_module")
        if isinstance(calls, dict):
            calls["module_call_graph"] = _only_root(calls.get("module_call_graph"))
        checked = _checked(program, "", name, 0)
    except (ValueError, RecursionError) as error:
        raise _not_program(name, str(error)) from error
    assert isinstance(checked, dict)
    return checked


def is_scalar_function(target: str) -> bool:
    """Whether a dotted name is one of the functions of sizes that programs call beside ATen."""
    return _SCALAR_FUNCTIONS.fullmatch(target) is not None


def checked_payload(data: bytes, *, name: str) -> dict[str, Json]:
    """The table of tensors in an archive: raw bytes only.

    Raises:
        InvalidInput: not such a table. Unsupported: pickled tensors or objects of C++ classes.
    """
    try:
        table: Json = json.loads(data)
        entries = table.get("config") if isinstance(table, dict) else None
        if not isinstance(entries, dict):
            raise _not_program(name, "no table of tensors")
        for entry in entries.values():
            if not isinstance(entry, dict) or entry.get("use_pickle"):
                raise Unsupported(
                    f"{name} holds tensors that only Python can make",
                    found="an entry with use_pickle",
                    next_step="export a model whose weights are plain dense tensors",
                )
            entry["path_name"] = _plain(entry.get("path_name"), name)
        checked = _checked(table, "", name, 0)
    except (ValueError, RecursionError) as error:
        raise _not_program(name, str(error)) from error
    assert isinstance(checked, dict)
    return checked


def _plain(value: Json, name: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(weight|tensor)_\d{1,7}", value):
        raise _hostile(name, value)
    return value


def _only_root(calls: Json) -> Json:
    """The signature of the whole program; those of its submodules are not needed to run it."""
    return calls[:1] if isinstance(calls, list) else []


def _checked(value: Json, key: str, name: str, depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise _not_program(name, f"more than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        if any(value.get(kind) is not None for kind in _NOT_PLAIN):
            raise _nested(name)
        if value.keys() == {"type", "index"}:
            return {"type": "cpu", "index": None}  # exported on a GPU, or on the CPU
        for part in value:
            _require_word(part, name)
        return {
            part: _EMPTIED[part] if part in _EMPTIED else _checked(item, part, name, depth + 1)
            for part, item in value.items()
        }
    if isinstance(value, list):
        return [_checked(item, key, name, depth + 1) for item in value]
    if isinstance(value, str):
        _check_text(value, key, name)
    return value


def _check_text(text: str, key: str, name: str) -> None:
    if key in _FREE_TEXT:
        if len(text) > 1000:
            raise _hostile(name, text)
    elif key == "expr_str":
        _check_expression(text, name)
    elif key == "target":
        _check_target(text, name)
    elif key in _TREES:
        _check_tree(text, name)
    else:
        _require_word(text, name)


def _require_word(text: str, name: str) -> None:
    if not _WORD.fullmatch(text) or any(_is_dunder(part) for part in text.split(".")):
        raise _hostile(name, text)


def _is_dunder(part: str) -> bool:
    return _DUNDER.fullmatch(part) is not None and part not in _DUNDER_OPERATORS


def _check_target(text: str, name: str) -> None:
    if is_scalar_function(text):
        return
    found = _OPERATOR.fullmatch(text)
    if found is None or any(_is_dunder(part) for part in found.groups()):
        raise _hostile(name, text)
    if found.group(1) == "aten" and found.group(2) in _OUTSIDE:
        raise _hostile(name, text)
    if found.group(1) == "higher_order":
        raise _nested(name)
    if found.group(1) != "aten":
        raise Unsupported(
            f"{name} uses operators of another library",
            found=printable(text),
            next_step="export the model with decompositions (run_decompositions()), without "
            "custom operators and without quantization",
        )


def _check_expression(text: str, name: str) -> None:
    """A size as sympy writes it: Symbol('s0', positive=True), Add(..., Integer(1)), ..."""
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise _hostile(name, text) from error
    for node in ast.walk(tree.body):
        if not _is_symbolic(node):
            raise _hostile(name, text)


_ARITHMETIC: Final = (
    *(ast.BinOp, ast.UnaryOp, ast.Load),
    *(ast.Add, ast.Sub, ast.Mult, ast.FloorDiv, ast.Mod, ast.USub),
)


def _is_symbolic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in _SYMBOLIC
        return known and (not ast.unparse(node.func).startswith("Pow") or _is_small_power(node))
    if isinstance(node, ast.Name):
        return node.id in _SYMBOLIC or _SYMBOL_NAME.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant):
        is_name = isinstance(node.value, str) and _SYMBOL_NAME.fullmatch(node.value) is not None
        return is_name or (isinstance(node.value, int) and abs(node.value) < 1 << 63)
    if isinstance(node, ast.keyword):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, _ARITHMETIC)


def _is_small_power(node: ast.Call) -> bool:
    """Strides are products of a few sides; a tower of powers would fill the memory."""
    exponent = node.args[1] if len(node.args) == 2 else None
    if isinstance(exponent, ast.Call) and len(exponent.args) == 1:
        exponent = exponent.args[0]
    value = exponent.value if isinstance(exponent, ast.Constant) else None
    return isinstance(value, int) and value <= MAX_POWER


def _check_tree(text: str, name: str) -> None:
    """How arguments and results are nested: tuples and lists only."""
    waiting: list[Json] = [json.loads(text)] if text else []
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            kind, context = value.get("type"), value.get("context")
            empty_dict = kind == "builtins.dict" and context == "[]"
            plain = kind in _TREE_TYPES and context in (None, "null")
            if not (plain or empty_dict):
                raise Unsupported(
                    f"{name} takes or returns {printable(str(kind))}",
                    found="a structure other than tensors and tuples of them",
                    next_step="export a forward() that takes one tensor and returns tensors",
                )
            waiting.append(value.get("children_spec"))
        elif isinstance(value, str):
            raise _hostile(name, value)


def _nested(name: str) -> Unsupported:
    return Unsupported(
        f"{name} holds a graph within the graph",
        found="a higher-order operator (cond, map, no_grad regions), an operator as a value, or a "
        "C++ object",
        next_step="export the model without them: call forward() under torch.no_grad() outside, "
        "and without data-dependent branches",
    )


def _hostile(name: str, found: object) -> PhoneproofError:
    return InvalidInput(
        f"{name} is not a program that torch.export wrote",
        found=f"{printable(repr(found))} where a name or a size belongs; nothing was evaluated",
        next_step="do not load this file elsewhere; ask its source for the original",
    )


def _not_program(name: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"{name} holds no program",
        found=printable(found),
        next_step="save it again with torch.export.save",
    )
