"""How many tokens a prompt can have at most, known before the call and without the model's tokenizer.

A byte-level BPE starts with one token for each UTF-8 byte and only ever merges neighbours (Radford et al., *Language Models
are Unsupervised Multitask Learners*, 2019, section 2.2; the README of tiktoken: "the token sequence is shorter than the bytes
corresponding to the original text"), so a text has no more tokens than bytes. A SentencePiece model with byte fallback spells
what it does not know byte by byte, and puts one blank before the text: bytes + 1 (Kudo and Richardson, 2018, and
the option `byte_fallback`). Neither holds for a tokenizer whose normalisation makes a text longer (NFKC).

Endpoints wrap each message in marks of their own: three tokens a message and three to open the reply (OpenAI Cookbook,
*How to count tokens with tiktoken*); templates of open models take more and some put a sentence of their own in front. Those
are what `MESSAGE_TOKENS` and `REQUEST_TOKENS` leave room for. An endpoint that still counts more than this bound is an overrun:
the budget counts it.
"""

from __future__ import annotations

from vigimesh.domain.cascade.question import Question, prompt_bytes

#: Tokens around one message: five times the cookbook's three, and the blank that SentencePiece adds.
MESSAGE_TOKENS = 16
#: Tokens around the whole: the opening of the reply, and a template's own sentence with the date and its name (about 40 in
#: the longest of the widely used ones).
REQUEST_TOKENS = 64


def prompt_bound(question: Question) -> int:
    """Return a number of prompt tokens that the call cannot exceed: the bytes of its texts, and what is put around them.

    The schema counts with its bytes, since endpoints put it into the prompt. English text has about four bytes a token, so
    that the bound is about four times what will be billed: the reservation is trimmed when the answer comes. The worst case
    of a call is the price of (`prompt_bound(question)`, `question.max_tokens`).
    """
    return prompt_bytes(question) + MESSAGE_TOKENS * len(question.messages) + REQUEST_TOKENS
