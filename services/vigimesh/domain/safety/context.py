"""How a word of a narrative is meant: told of the patient, denied, of somebody else, long ago, feared, or unclear.

Rules on a bounded window around the word, in the manner of NegEx and ConText, with one difference: they are built to
err towards *stated*. A cue must stand close and undisturbed to take a word back; a cue that is near but not clearly
attached makes it *ambiguous*, which a person settles. A word is never taken back by a guess.
"""

from __future__ import annotations

import re
from typing import Literal

Polarity = Literal["stated", "negated", "other_subject", "history", "hypothetical", "ambiguous"]

#: Characters looked at before and after a word: a clause of about 20 words; keeps the cost per word constant.
BEFORE, AFTER = 120, 80
#: Characters that a cue of the past may stand away from its word before it is only near (about six words).
NEAR_HISTORY = 40
#: Unknown words between a negation and its noun: "no generalised tonic seizures" is two.
NOUN_GAP, FAR_GAP = 2, 5

_SENTENCE_END = re.compile(r"[;!]|[.?](?=\s|$)|\n[ \t\r]{0,8}\n")
_CONTRAST = re.compile(
    r"\b(?:but|however|although|though|nevertheless|except|until|then|subsequently|eventually|resulting in"
    r"|leading to|led to|because)\b"
    r"|(?:\band|&|,) ?(?:he |she |pt |patient |child |infant |baby |it |they )?"
    r"(?:was|were|is|had|has|did|then|later|developed|required|experienced|exp|suffered)\b"
    r"|(?<!that )(?<!that the )(?:\b(?:he|she|pt|patient|child|infant|baby)) (?:was|had|has|developed|experienced|exp|suffered)\b"
    r"|, ?(?:and|who|which|she|he|pt|patient|child|they)\b"
)
_NEGATION = re.compile(
    r"\b(?:no|not|cannot|never|without|denies|denied|denying|nor|neither|none of|negative for|neg for|absence of|free of"
    r"|refused|declined)\b|\bw/o\b|n't\b"
)
#: A negation that denies something else than the word after it.
_PSEUDO = re.compile(
    r"no (?:longer|doubt|improvement|change|response|relief|effect|treatment|medication|meds|other cause|known cause"
    r"|apparent cause|explanation|reason|one knows)\b"
    r"|(?:without|w/o) (?:warning|delay|success|improvement|effect|relief|apparent cause|provocation|treatment)\b"
    r"|(?:not|n't) (?:only|just|until|recover\w*|resolv\w*|improv\w*|respond\w*|resum\w*|regain\w*|surviv\w*|stop\w*"
    r"|control\w*|prevent\w*|well|better|feeling)\b"
)
_VERBAL = {"not", "cannot", "never", "n't"}
_TRANSPARENT = frozenset(
    "a an the any his her their been be being was were is are did does do has have had having to require required "
    "requiring need needed needing result resulted in lead led evidence of sign signs for subsequent further other "
    "more additional actual immediate ever seen known previous prior history hx reported report reports experience "
    "experienced develop developed observed noted documented cause caused clinical symptom symptoms indication "
    "suggestive formally actually apparent overt frank true associated with go taken considered thought believed felt "
    "judged deemed classified as feel think hospital at all that this it he she pt patient child".split()
)
_SYMPTOMS = frozenset(
    "fever rash pain swelling redness vomiting nausea headache cough diarrhea diarrhoea hives itching chills erythema "
    "crying fussy irritability sleep eating".split()
)
_WORD = re.compile(r"[a-z0-9][a-z0-9'/-]{0,40}")
_OR = re.compile(r"\b(?:or|nor)\b|/")
_OR_FOLLOWS = re.compile(r"^[a-z' -]{0,30},?[a-z', -]{0,40}\b(?:or|nor) ")
_NEGATED_AFTER = re.compile(
    r"^\s{0,2}(?:\(y(?:es)?/no?\)\s{0,2})?[:?=-]{1,2}\s{0,2}(?:no|n|none|nil|negative)(?=\s{0,2}(?:[.,;)]|$))"
    r"|^ (?:[a-z]{1,12} )?(?:was |were |is |are |has been |had been )?(?:not|never) (?:been )?"
    r"(?:required|needed|necessary|reported|observed|noted|seen|occur|occurred|present|suspected|indicated|an issue)\b"
    r"|^ (?:was |were |is |are |has been |been )?(?:ruled out|denied|excluded|absent|declined|refused)\b"
    r"|^ (?:did|does|do) not (?:occur|happen|ensue|follow)\b"
    r"|^ (?:was|were|is) (?:felt |thought )?unlikely\b"
)
_UNKNOWN = re.compile(
    r"\b(?:unknown|unsure|uncertain|unclear|not known|not sure|not clear|not stated|don't know|doesn't know|whether)\b"
)
_UNKNOWN_AFTER = re.compile(
    r"^ ?\?(?!\s{0,2}y(?:es)?\b)|^\s{0,2}[:=-]{1,2}\s{0,2}(?:unknown|unk|\?)|^ ?-?(?:like)\b"
    r"|^ (?:was |were |is |status )?(?:unknown|uncertain|questionable|not confirmed|unconfirmed|suspected(?! to)|not ruled out"
    r"|(?:could not|cannot|can not|couldn't|can't) be (?:ruled out|excluded|confirmed))\b"
    r"|^ (?:was |were |is |has been )(?:feared|advised|recommended|offered|suggested|proposed|planned|scheduled|considered(?= but|[.,;]|$))\b"
)
_IF_BEFORE = re.compile(
    r"\bif (?:a |an |the |any )?(?:he |she |pt |patient |it |they |child |there )?"
    r"(?:is |was |were |are |had |has |have |been |be |gets |becomes |ever |should |a |an |any |another |not ){0,4}$"
)
_GOING = re.compile(r"\bgoing to $")
_IF = re.compile(r"\bif\b")
_COULD = re.compile(r"\b(?:could|would|should|can|shall)(?: have|'ve| easily| well| also| even| eventually| be| been"
                    r"| lead to| led to| caused?| result in| resulted in| required?| need| needed| proved?| become| had| a| the){0,5} $")  # fmt: skip
_FEARED = re.compile(
    r"\b(?:risks?|fear|fears|feared|fearful|afraid|scared|worried|in case|warn\w{0,5}|prevent\w{0,5}|avoid\w{0,5}"
    r"|potential|potentially|chance|threat|feeling|sense|impending|(?:felt|feels) like|thought (?:he|she|they|i|pt)(?: was| were| would| might)?)"
    r"(?: of| about| for| that| from| to| he| she| pt| they| was| would| will| be| a| an| the| going| have| impending"
    r"| possible| further| severe| any| her| his| child| baby){0,5} $"
)
_MAYBE = re.compile(
    r"(?:\b(?:possible|possibly|poss|probable|probably|suspected|suspect|suspicion|questionable|presumed|presumptive"
    r"|rule out|ruling out|ruled out|r/o|may|might|maybe|perhaps|concern|concerned|concerning|consider|considered"
    r"|thought to be|consistent with|c/w|resembling|resembled|looked like|appeared to|seemed|similar to|suggestive of"
    r"|suggests|suggesting|doubtful|versus|vs|works? in|working in|believed to be|will be|(?:is|was|are|were|going) to be|planned|scheduled|recommended|advised"
    r"|suggested|offered|differential)\b|\?)"
    r"[ .:]{0,2}(?:(?:of|for|a|an|the|have|had|been|be|having|that|he|she|pt|febrile|acute|viral|mild|severe|early|for"
    r"|by|with|about|to|like|bacterial|focal|new|onset)[ .]){0,5}(?:(?!and)[a-z]{2,12} )?$"
)
_FAMILY = (
    r"(?:grand(?:mother|father|parents?|ma|pa)|mother|father|mom|mum|dad|parents?|sisters?|brothers?|siblings?"
    r"|aunt|uncle|cousins?|nieces?|nephews?|relatives?|family members?|neighbou?rs?|friends?|roommate|classmates?"
    r"|husband|wife|spouse|(?<=his )twin|(?<=her )twin|animals?|cat|dog|puppy|kitten|rac{1,2}oon|bat|another (?:patient|pt|child|infant|person|subject)|other (?:patients?|pts|children|infants"
    r"|subjects|people|family))"
)
_SUBJECT_BEFORE = re.compile(
    rf"(?P<lead>(?:[a-z'/]{{1,14}}[ ,]{{1,2}}){{0,2}})\b{_FAMILY}(?:'s)?"
    r"(?: of (?:the|this) (?:patient|pt|child|infant|baby))?(?: also| who| had| has| have| was| were| is| been| recently| later| suddenly| previously| both| a| an| the"
    r"| similar| experienced| developed| suffered| died of| died from| febrile| history of| hx of){0,6} $"
)
_FAMILY_HISTORY = re.compile(
    r"\b(?:family|familial|maternal|paternal|sibling) (?:history|hx)\b|\b(?:fhx|fh|fam hx)\b"
)
_SUBJECT_AFTER = re.compile(
    rf"^ (?:of|in) (?:a |an |the |his |her |their |my |pt's |pts |patient's )?(?:own )?(?:older |younger |twin |elder )?{_FAMILY}\b"
    r"(?!'?s? (?:bed|arms?|room|house|home|car|lap|presence|care|office))"
)
_TOGETHER = re.compile(r"^ (?:together |along )?with (?:him|her|the (?:pt|patient|child|infant|baby))\b")
_PATIENT = re.compile(
    r"\b(?:pt|pts|patient\w{0,3}|child\w{0,3}|infant\w{0,3}|baby\w{0,3}|toddler|boy|girl|he|she|his|her|subject|vaccinee|recipient)\b"
)
_LEADS_OUT = re.compile(
    r"\b(?:per|by|to|from|told|called|with|w/|for|said|and|via|informed|asked|notified|since|when|as)\b"
)
#: Told of a history, then of what happened: the cue does not reach over such a verb.
_HAPPENED = re.compile(
    r"\b(?:who|presented|presenting|developed|exhibited|experienced|suffered|underwent|received|began|was|were|had"
    r"|became|exp|devel)\b"
)
_HISTORY = re.compile(
    r"(?<!case )\b(?:history|hx|pmh|pmhx|medical hx)\b(?! of present)(?: of|:| includes?| significant for| positive for)?|\bh/o\b"
)
_PREVIOUS = re.compile(
    r"\b(?:previous|prior|past|known|pre-?existing|earlier|longstanding|previously|formerly)"
    r"(?: (?!to\b|healthy\b|well\b|reported\b|described\b|submitted\b|mentioned\b|noted\b|un)[a-z-]{1,16}){0,2} $"
)
_HISTORY_AFTER = re.compile(
    r"^[a-z0-9, -]{0,24}\b(?:years?|yrs?) (?:ago|before|earlier|prior)\b"
    r"|^ (?:(?:once|twice|several times|often) )?(?:in (?:early )?childhood|as (?:a child|an infant|a baby)|(?:at|since) birth|disorder since"
    r"|in the past(?! (?:[0-9]|few|two|three|several|24|couple|hours?|days?|weeks?|months?|years?)))\b"
)


def polarity(low: str, start: int, end: int, *, verb: bool) -> Polarity:
    """Return how the word at `low[start:end]` is meant; `low` is lower-case.

    `verb` says that the word is a whole statement ("died", "hospitalised"), which a list of denied nouns does not
    reach over a comma; a noun ("seizures") it does.
    """
    sentence = _sentence_before(low, start)
    before = _clause(sentence)
    after = low[end : end + AFTER]
    if _UNKNOWN.search(before) or _UNKNOWN_AFTER.match(after):
        return "ambiguous"
    feared = _feared(sentence, before)
    if feared is not None:
        return feared
    denied = _denied(before, after, verb=verb)
    if denied is not None:
        return denied
    told_of_other = _other_subject(before, after, low[max(0, start - BEFORE) : start])
    if told_of_other is not None:
        return told_of_other
    past = _past(before, after, verb=verb)
    if past is not None:
        return past
    if _MAYBE.search(before) or low.endswith(("?", "? "), 0, start):
        return "ambiguous"
    return "stated"


def _sentence_before(low: str, start: int) -> str:
    """Return what stands before the word in its sentence, white space made single."""
    window = low[max(0, start - BEFORE) : start]
    cut = max((found.end() for found in _SENTENCE_END.finditer(window)), default=0)
    sentence = " ".join(window[cut:].split())
    return f"{sentence} " if sentence and window[-1:].isspace() else sentence


def _clause(sentence: str) -> str:
    """Return the last clause: what stands before "but" or ", was" does not reach over it."""
    return sentence[max((found.end() for found in _CONTRAST.finditer(sentence)), default=0) :].lstrip()


def _feared(sentence: str, clause: str) -> Polarity | None:
    if (
        _IF_BEFORE.search(sentence)
        or _COULD.search(sentence)
        or _FEARED.search(sentence)
        or _GOING.search(sentence)
    ):
        return "hypothetical"
    return "ambiguous" if _IF.search(clause) else None


def _denied(before: str, after: str, *, verb: bool) -> Polarity | None:
    if _NEGATED_AFTER.match(after):
        return "negated"
    cues = list(_NEGATION.finditer(before))
    if not cues:
        return None
    cue = cues[-1]
    if _PSEUDO.match(before, cue.start()):
        return None
    if len(cues) > 1 and _doubled(before[cues[-2].end() : cue.start()], cue.group()):
        return "ambiguous"
    if len(cues) > 1 and before[cues[-2].end() : cue.start()].strip() in ("", "be", "been", "a"):
        return "ambiguous"
    gap = before[cue.end() :]
    words = _WORD.findall(gap)
    unknown = [word for word in words if word not in _TRANSPARENT]
    if not unknown and "," not in gap:
        return "negated"
    if cue.group() in _VERBAL:
        return "ambiguous" if len(unknown) <= NOUN_GAP and "," not in gap else None
    return _denied_in_list(gap, unknown, after, verb=verb)


def _doubled(between: str, cue: str) -> bool:
    """Tell whether two negations make a statement: "does not breathe without a ventilator"."""
    return cue in ("without", "w/o") and "," not in between and len(between.split()) <= NOUN_GAP


def _denied_in_list(gap: str, unknown: list[str], after: str, *, verb: bool) -> Polarity | None:
    """Judge "no fever, rash or seizures": a noun is denied with its list, a statement is not."""
    if _OR.search(gap):
        return "negated" if not verb or "," not in gap else "ambiguous"
    if verb:
        return None
    if _OR_FOLLOWS.match(after) and "," in gap:
        return "negated"
    if "," in gap or "&" in gap or " and " in gap:
        return "ambiguous"
    if len(unknown) <= NOUN_GAP and not _SYMPTOMS.intersection(unknown):
        return "negated"
    return "ambiguous" if len(unknown) <= FAR_GAP else None


def _other_subject(before: str, after: str, window: str) -> Polarity | None:
    """Judge "mother died": somebody else only where a patient is named apart, else the mother may be the patient."""
    inherited = _FAMILY_HISTORY.search(before)
    if inherited is not None and _HAPPENED.search(before, inherited.end()) is None:
        return "other_subject"
    if _SUBJECT_AFTER.match(after):
        return "other_subject"
    found = _SUBJECT_BEFORE.search(before)
    if found is None or _LEADS_OUT.search(found["lead"]):
        return None
    if _TOGETHER.match(after):
        return "ambiguous"
    apart = _PATIENT.search(window) is not None and re.search(r"\bmy\b", found["lead"]) is None
    return "other_subject" if apart else "ambiguous"


def _past(before: str, after: str, *, verb: bool) -> Polarity | None:
    if _HISTORY_AFTER.match(after) or _PREVIOUS.search(before):
        return "history"
    cues = list(_HISTORY.finditer(before))
    if not cues:
        return None
    gap = before[cues[-1].end() :]
    if _HAPPENED.search(gap) or (verb and any(word not in _TRANSPARENT for word in _WORD.findall(gap))):
        return None
    return "history" if len(gap) <= NEAR_HISTORY else "ambiguous"
