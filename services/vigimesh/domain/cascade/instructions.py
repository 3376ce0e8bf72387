"""Words in a narrative that could be an order to a machine, so that no model's *no* settles a case that holds them. Pure.

A narrative tells of a patient, a dose and what came after. The rule is closed rather than clever: what speaks to the reader, of the report
itself and its handling, of machines or of money, what has the form of markup or code, and what is no English prose is not telling of
a patient, whatever it means. It is held against the text in its plain form (`privacy.plain_text`), so that full-width letters and
invisible characters hide nothing.

This is no proof that a text is harmless: a lie in the words of a narrative ("the patient was well the next day") is evidence that no rule
tells from the truth. It only ever keeps a question open.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vigimesh.domain.language import ENGLISH, FOREIGN
from vigimesh.domain.privacy.words import (
    ABBREVIATIONS,
    CALENDAR,
    COMMON,
    MEDICAL,
    PARTICLES,
)

_FOLD = re.IGNORECASE

#: To the reader: second person, a plea, an order, a role to play.
_READER = re.compile(
    r"\b(?:you|your|yours|yourself|please|pretend|imagine|hypothetically|obey|let (?:us|this|me)|do not|don't"
    r"|(?:act|speak|answer|reply|respond) (?:as|with|in|only|no|yes)|repeat after|think step|as you can|until you|from now on|whatever else"
    r"|assume the role|the role of|be the|for (?:this|the) novel|by order|i sign|to who(?:m|so)?ever|dear|kindly|colleagues?|attn|say (?:no|yes|that|it)|just (?:write|say|answer)"
    r"|suppose|the story|this story|fiction\w*|invented|made up|exercise in|punish\w*|bonus|demands?|vouch|wave it|no need to|move along|moving on|stop (?:reading|analy\w+|here|at this))\b"
    r"|\b(?:answer|question|[qa]) ?: ",
    _FOLD,
)
#: Of the report and its handling: what a desk says, and a reporter does not.
_DESK = re.compile(
    r"\b(?:(?:(?<!of )this|these|every|all|each|any|the other|another|such) (?:reports?|cases?|narratives?|text|paragraph|answers?|calls?|reactions?|document)"
    r"|of this case|case (?:is|accepted|closed)|end of (?:the )?report|real report|no report"
    r"|(?:non|not)[- ]?serious\w*|seriousness|serious case|called serious|triage\w*|classif\w+|listed|listedness|expectedness|is expected"
    r"|(?<!low )(?<!lo )(?<!high )grade\W{0,3}(?:to |is )?[0-5]|which grade|auto[-_ ]?accept\w*|accepts?|accept(?:ed|ing)|approv(?:e|ed|al|es)|escalat\w*|nullif\w*|merged|legal clock|urgency"
    r"|no review|the review|any review|all reviews|needs? no|reviewers?|supervisor|regulator\w*|audit|queue|workflows?|lanes?|tiers?|the floor|polic(?:y|ies)|criteria|criterion"
    r"|rules?(?!d? ?/?out)|correct label|the label|the guidance|section \d+|passage \d+|cite[sd]?|evidence for|reference safety"
    r"|trusted|sender|sender's|quota|quarter ends|rewarded|confidence|confirm|sue|kittens?|keep this|expect(?:s|ed)? the|a test|simulation|consequences|no longer counts"
    r"|verdict|evaluat(?:e|es|ing|ion service|ion engine)|assess(?:ment (?:stays|is|was|already|of this|must|should|will)|es this|ing this)|(?:positive|negative) (?:assessment|answer)|conclude[sd]?|conclusions?"
    r"|harmless|harm|severity|importance|trivial|negligible|importan(?:t|ce) took|categor(?:y|ies)|judge[sd]?|judg(?:e?ment)|downgrade\w*|upstream|downstream|memo|guidelines?|nothing (?:written|here|said|above|below)"
    r"|(?:written|described|said|stated|stands) (?:here|below|above|after this|before this)|(?:the|this|that) (?:file|case|record) (?:be|is|was|should|must|can)|clear the file|close (?:this|the)|(?:this|the) (?:file|row|line|field|box|sentence|paragraph)"
    r"|archiv\w+|on behalf|in charge|decided|worth a|were made|may be made|team already|last ten|treated as|signed|do nothing)\b|\bserious[ \w'\\\x22]{0,12}[:=]|\b(?:section|system|assistant):",
    _FOLD,
)
#: Of machines, and of what they cost.
_MACHINE = re.compile(
    r"\b(?:instructions?|ignor(?:e|es|ing)|disregard\w*|overrid\w*|forget|prompts?|jailbreak|developers?|assistants|json|schema|api|tools?|the function|tool_?calls?"
    r"|tokens?|budgets?|models?|system(?: message|\W{0,3}override)|processing system|automated|software|router|vigimesh|chat|database|computer|(?:evaluation|rules?|scoring) engine|a\.?i\.?|artificial|llms?|language|bots?|machines?|algorithm\w*|neural|agents? (?:must|should|reading)|output\w*|input\w*|return(?:s|ing)? (?:the|a|no|result|value)|lowest|smallest number|default|threshold"
    r"|config\w*|parameter\w*|null|infinity|unit check|administrator|consumers|summari[sz]e\w*|translat\w+|copy it|(?:expected|desired|correct) (?:value|output|answer|result)|override|force|topic|kafka\w*|append"
    r"|decod\w+|execut\w+|import os|harness|printer|print|micro-?units?|reserve|spend|price|charge this|paid|unlimited|deadline\w*|max_\w+|step '|use (?:model|rule|the function)"
    r"|set (?:the|grade|serious|lane|tier|deadline\w*)|lower the|change the|skip|delete|hold all|write to|run the|mark (?:as|this|it|the)|lane cold|order the|update\w* calls)\b"
    r"|\bdrop table\b|\bor serious\b|_[a-z]+_|\b[a-z]+_[a-z]+\b",
    _FOLD,
)
#: Markup, code and signs that prose does without; marks of our own redaction are not looked at.
_MARKUP = re.compile(
    r"[{}|`\\~^\u2028]|<[/!?a-z|-]|[a-z\"/]>|&#?\w{1,10};|%[0-9a-f]{2}(?![\d%])|\$[({a-z]|#[{(]|==|&&|\|\||->|=>|--|::|\*\*|\]\(|\[[a-z/]|://|^\s{0,3}(?:#|>|={2,}|-{3})"
    r"|\b[a-z_]{2,20}=['\"]?[a-z]|^\s*(?:system|human|user|assistant|developer|tool|action|role|audit|finding|triage|ce_\w+)[ \w]{0,16}:|\b(?:human|assistant|system|role):|\(\w*=|\w = \w|; ?(?:return|print|exit)\b|^\s*[/@]\w|@[a-z]{3,}\b|mailto|javascript",
    _FOLD | re.MULTILINE,
)
#: Long runs without a blank; words that mix letters and digits as nobody writes a dose.
_CODED = re.compile(r"[A-Za-z0-9+/=%;&#]{28,}")
_LEET = re.compile(r"\b[a-z]{1,4}\d{1,2}[a-z]{1,4}\d?[a-z]{0,4}\b|\b\d[a-z]\d[a-z]\d?\w{0,3}\b", _FOLD)
#: Words of such a form that give a text away: one alone may be a batch number.
_MOST_LEET = 2
#: Sentences are looked at whole: of so many words, none of which is English that is often written, it is something else.
_SENTENCE = re.compile(r"[^.;!?\n]{1,600}")
_WORD = re.compile(r"[^\W\d_]{2,30}")
_STRANGE_WORDS = 5
_KNOWN = COMMON | ENGLISH | MEDICAL | ABBREVIATIONS | CALENDAR
#: Words of another language in one text: so many are no name and no "de novo".
_MOST_FOREIGN = 2
_OTHERS = (FOREIGN | PARTICLES) - ENGLISH - COMMON
#: Words of everyday English read from their end.
_BACKWARDS = frozenset(word[::-1] for word in COMMON | ENGLISH if len(word) > 2) - _KNOWN
_MOST_BACKWARDS = 1
#: The same word so often in a row is no telling.
_AGAIN = re.compile(r"(\b\w{1,20}\b\W{1,4})\1{4}|([^\w\s.*_=-])\2{9}", _FOLD)

_PATTERNS = (
    ("to the reader", _READER), ("of the report", _DESK), ("of machines", _MACHINE), ("markup", _MARKUP), ("code", _CODED), ("repetition", _AGAIN),
)  # fmt: skip


def instructions_in(text: str) -> tuple[str, ...]:
    """Return the kinds of what could be an order to a machine in a plain `text`, each once; nothing for a text that only tells."""
    return tuple(_kinds(text))


def _kinds(text: str) -> Iterator[str]:
    for kind, pattern in _PATTERNS:
        if pattern.search(text):
            yield kind
    if sum(1 for _ in _LEET.finditer(text)) >= _MOST_LEET:
        yield "letters as digits"
    words = [word.lower() for word in _WORD.findall(text)]
    foreign = sum(word in _OTHERS for word in words) > _MOST_FOREIGN
    if foreign or sum(word in _BACKWARDS for word in words) > _MOST_BACKWARDS or _strange(text):
        yield "no English"


def _strange(text: str) -> bool:
    for sentence in _SENTENCE.findall(text):
        words = [word.lower() for word in _WORD.findall(sentence)]
        if len(words) >= _STRANGE_WORDS and not any(word in _KNOWN for word in words):
            return True
    return False
