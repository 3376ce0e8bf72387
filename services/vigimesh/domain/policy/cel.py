"""CEL rules: compiled once, checked against the facts they may name, evaluated on nothing but those facts.

Converting facts costs more than evaluating a rule, so a rule is handed only the facts it names.
Mind that `size("é")` counts bytes in this implementation, not characters.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from vigimesh.errors import Misconfigured, Refused

# The package imports its command line, and with it 350 modules that nobody here calls: 0.2 s and 20 MB of every process.
sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))
import cel  # noqa: E402

#: Characters of one expression: far more than a rule that a person can review, far less than a parser minds.
MAX_LENGTH = 2_000
#: Comprehensions (`exists`, `all`, ...) in one expression. Nested ones multiply, and a fact's list has at most 64.
MAX_COMPREHENSIONS = 3

#: Answers kept per rule. Facts are mostly words of closed sets, so that few combinations come again and again.
MAX_KEPT = 1_024

#: What a rule may call besides operators. No function reads a clock, so that every rule replays.
FUNCTIONS = frozenset(
    {
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "double",
        "string",
        "bool",
        "dyn",
        "type",
    }
    | {"timestamp", "duration", "min", "max"}
)
#: Names that CEL itself gives: types.
_TYPE_NAMES = frozenset(
    {"int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"}
)

_MACRO = re.compile(r"\.(?:all|exists_one|exists|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")

#: A fact's name -> a plain value, and how to read it.
Facts = Mapping[str, Any]
Reader = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A compiled rule. `names` are the facts it reads; `constant` is its value when it reads none.

    `kept` holds its answers by the values it read: an answer depends on nothing else. It is None for a rule that reads
    facts whose values hardly come again.
    """

    source: str
    where: str
    names: tuple[str, ...]
    program: Any
    constant: bool | None = None
    kept: dict[tuple[Any, ...], bool] | None = field(default=None, compare=False, repr=False)

    def holds(self, read: Reader) -> bool:
        """Return whether the rule is true of the facts that `read` gives by name.

        Raises `Refused` VM-1105 when the rule fails on these facts or does not answer true or false: the caller
        chooses the safe side.
        """
        if self.constant is not None:
            return self.constant
        values = tuple([read(name) for name in self.names])
        if self.kept is None:
            return self._evaluate(values)
        answer = self.kept.get(values)
        if answer is None:
            answer = self._evaluate(values)
            if len(self.kept) >= MAX_KEPT:
                self.kept.clear()
            self.kept[values] = answer
        return answer

    def _evaluate(self, values: tuple[Any, ...]) -> bool:
        try:
            answer = self.program.execute(dict(zip(self.names, values, strict=True)))
        except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as failure:
            raise self._failed(type(failure).__name__) from failure
        if answer is True or answer is False:
            return bool(answer)
        raise self._failed(f"its value is of type {type(answer).__name__}")

    def _failed(self, cause: str) -> Refused:
        return Refused(
            "VM-1105",
            what=f"rule could not be evaluated on this case: {cause}",
            where=self.where,
            todo="make the rule hold for every value of the facts it names",
        )


def compile_rule(source: str, where: str, samples: Facts, rare: Collection[str] = ()) -> Rule:
    """Compile `source`; `samples` holds every fact the rule may name, each with a value of its type (lists as tuples).

    `rare` are the facts whose values hardly come again, so that answers to them are not kept.

    Raises `Misconfigured` VM-1104, naming `where`, when the rule is too long, does not parse, names a fact or function
    that is not known (with the nearest known one), or does not fit the facts' types.
    """
    if len(source) > MAX_LENGTH:
        raise _wrong(f"rule has {len(source)} characters, at most {MAX_LENGTH} are allowed", where)
    if not source.strip():
        raise _wrong("rule is empty", where, "write true for a rule that always holds")
    try:
        program = cel.compile(source)
    except ValueError as failure:
        raise _wrong(f"rule does not parse: {_first_line(failure)}", where) from failure
    bare = _TEXT.sub("''", source)
    bound = _MACRO.findall(bare)
    if len(bound) > MAX_COMPREHENSIONS:
        raise _wrong(f"rule has {len(bound)} comprehensions, at most {MAX_COMPREHENSIONS} are allowed", where)
    _check_known("fact", set(program.variables()) - set(bound) - _TYPE_NAMES, samples, where)
    called = {name for name in program.functions() if name[0].isalpha()}
    _check_known("function", called, FUNCTIONS, where)
    names = tuple(name for name in program.variables() if name in samples)
    kept: dict[tuple[Any, ...], bool] | None = None if set(names) & set(rare) else {}
    rule = Rule(source=source, where=where, names=names, program=program, kept=kept)
    constant = _trial(rule, samples)
    return rule if names else replace(rule, constant=constant)


def _trial(rule: Rule, samples: Facts) -> bool:
    empty = {name: () if isinstance(value, tuple) else value for name, value in samples.items()}
    try:
        rule.holds(empty.__getitem__)
        return rule.holds(samples.__getitem__)
    except Refused as failure:
        cause = failure.__cause__
        detail = f": {_first_line(cause)}" if cause is not None else ""
        raise _wrong(
            f"rule does not fit the facts it names ({failure.what}{detail})", rule.where
        ) from failure


def _check_known(kind: str, used: Iterable[str], known: Iterable[str], where: str) -> None:
    all_known = sorted(known)
    for name in sorted(used):
        if name not in all_known:
            raise _wrong(f"rule names the unknown {kind} {name!r}", where, nearest(name, all_known))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return what to do about an unknown name: use the nearest known one, or one of all."""
    choices = sorted(known)
    close = get_close_matches(name, choices, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "use one of " + ", ".join(choices)


def _wrong(what: str, where: str, todo: str = "correct the rule") -> Misconfigured:
    return Misconfigured("VM-1104", what=what, where=where, todo=todo)


def _first_line(failure: BaseException) -> str:
    text = str(failure).strip().splitlines() or [type(failure).__name__]
    return text[0][:300]
