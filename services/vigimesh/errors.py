"""Every error that vigimesh raises on purpose: a kind, a code, and what a person should do.

    VigimeshError
    ├── Transient       may pass by itself: try again (a broker away, a time-out)
    ├── Refused         this input is not accepted; others go on (bad record, bad file, unknown schema)
    ├── Misconfigured   a setting, card or installation is wrong; a person must change it
    ├── Fenced          a newer owner took over; this process must stop touching the thing
    └── Broken          a promise no longer holds; stop here rather than guess

Kinds say what to do, not which vendor failed. `EXPLANATIONS` holds the text that `vigimesh explain CODE` prints;
a test holds every code raised anywhere to it.
"""

from __future__ import annotations


class VigimeshError(Exception):
    """Something went wrong that a person may have to act on.

    `code` is stable (`VM-nnnn`), `what` says what happened, `where` names the file, line, topic, setting or record,
    `todo` says what to do now.
    """

    kind = "error"

    def __init__(self, code: str, *, what: str, where: str = "", todo: str = "") -> None:
        """Keep the three parts apart; `str()` joins them into one line."""
        self.code = code
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(code, what, where, todo)

    def __str__(self) -> str:
        """Join the parts: `VM-1203 what (where); do: todo`."""
        place = f" ({self.where})" if self.where else ""
        action = f"; do: {self.todo}" if self.todo else ""
        return f"{self.code} {self.what}{place}{action}"


class Transient(VigimeshError):
    """May pass by itself; the same thing may be tried again."""

    kind = "transient"


class Refused(VigimeshError):
    """This one input is not accepted, for a reason that will not pass; others go on."""

    kind = "refused"


class Misconfigured(VigimeshError):
    """A setting, card, schema or installation is wrong; a person must change it."""

    kind = "misconfigured"


class Fenced(VigimeshError):
    """A newer owner has taken over; this one must stop at once."""

    kind = "fenced"


class Broken(VigimeshError):
    """A promise no longer holds; stopping is safer than going on."""

    kind = "broken"


#: code -> (short title, explanation with what to do). The hundreds say the room: 10 events, 11 settings and cards,
#: 12 stack, 13 loop and broker, 14 intake, 15 knowledge, 16 objects, 17 command line.
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "VM-1001": ("not a record in the Confluent wire format", "The bytes do not begin with 0 or 1. The writer must use a Confluent-compatible Avro serializer. The record is kept on the dead-letter topic with its bytes."),
    "VM-1002": ("unknown schema id", "The schema registry does not know the id in the record. Check that writer and reader use the same registry. The record is kept on the dead-letter topic with its bytes."),
    "VM-1003": ("bytes do not fit their schema", "The Avro body is cut off or was written with another schema than the id says. The record is kept on the dead-letter topic with its bytes."),
    "VM-1004": ("event does not fit its class", "The value was decoded but a field has a value that this version cannot hold. Compare the writer's schema with the one in `schemas/`."),
    "VM-1005": ("record larger than the topic takes", "Put payloads over 64 KiB into the object store and refer to them by digest."),
    "VM-1006": ("schema would break readers or writers", "A change must stay FULL_TRANSITIVE: add fields with a default only, never remove or retype one. `vigimesh schemas check` says which version it breaks."),
    "VM-1007": ("topic differs from the topics table", "`vigimesh topics apply` creates what is missing; a wrong partition count or policy must be changed by hand because keys would move."),
    "VM-1101": ("unknown setting", "Correct the name; the message gives the nearest known one. `vigimesh config show` lists all."),
    "VM-1102": ("setting has a wrong value", "Correct the value as the message says."),
    "VM-1103": ("workflow card is wrong", "Correct the card as the message says, then run `vigimesh cards check`."),
    "VM-1104": ("rule does not compile or names an unknown field", "Correct the CEL expression; the message gives the nearest known field."),
    "VM-1105": ("rule failed on a case", "The CEL expression compiled but could not be evaluated on this case. The case goes the safe way (hot, or to a person); make the rule hold for every value of the facts it names."),
    "VM-1201": ("list of pinned downloads is wrong", "`jars.lock` names every file the embedded stack downloads, with its SHA-256. Restore it from version control, reinstall vigimesh, or (developers) write it anew with `python -m vigimesh.app.devstack.relock`."),
    "VM-1202": ("downloaded file is not the pinned one", "The bytes differ from those this version was built with, and were not used. Delete the file named in the message and start again; if it repeats, the source of the download sends something else: do not go on."),
    "VM-1203": ("download failed", "The first start downloads some 200 MB, once. Check the network and the proxy settings (HTTPS_PROXY, REQUESTS_CA_BUNDLE), then start again."),
    "VM-1204": ("port is not free", "Another program listens on the port that was asked for. Stop it, give another port, or give none."),
    "VM-1205": ("folder cannot be used", "The data folder must be writable, and its path short enough for a Unix socket or TMPDIR must be. When root starts the stack, PostgreSQL's own user must be able to pass through its parents."),
    "VM-1206": ("too little memory", "The stack needs 1.2 GB of available memory. Close other programs or raise the limit of the container."),
    "VM-1207": ("too little disk", "The stack needs 1.5 GB of free disk, and the room for its downloads the first time. Free some, or give `--data` a folder elsewhere."),
    "VM-1208": ("PostgreSQL's system user cannot be made or used", "PostgreSQL refuses to run as root, so root's stack runs it as the system user `pgserver`. Make that user by hand, or run as an ordinary user."),
    "VM-1209": ("service of the stack did not start or stay up", "The message names the service and its log. Correct what the log says and start again; a new `--data` folder starts from nothing."),
    "VM-1210": ("installation lacks a program of the stack", "A wheel with the Java runtime, PostgreSQL or Valkey is missing or is for another platform. Reinstall vigimesh with all its dependencies."),
    "VM-1211": ("stack is held by another process", "Another start or stop on the same data folder has not ended in time. Run `vigimesh stack down`, or give `--data` another folder."),
    "VM-1301": ("broker cannot be reached", "Check the address and that the stack is up: `vigimesh stack status`."),
    "VM-1302": ("transaction in doubt", "The producer was replaced and the committed offsets were read again; nothing to do unless it repeats."),
    "VM-1303": ("fenced by a newer process with the same instance name", "Another process runs with the same INSTANCE. Stop one of them or give it another name."),
    "VM-1304": ("dead-letter record could not be written", "The partition stands still so that nothing is lost. Check the deadletter topic's size limit and rights."),
    "VM-1305": ("no committed offset for a partition", "The group was not initialised, so that nothing is skipped silently. Run `vigimesh topics apply`."),
    "VM-1306": ("state could not be restored in time", "The compacted topic could not be read to its end; an open transaction may hold it back. The worker restarts and tries again."),
    "VM-1307": ("handler failed on a record", "A defect in a verb. The record is kept on the dead-letter topic with the error; after a fix it can be redriven."),
    "VM-1308": ("verb asked for more than 8 rounds of needs", "A defect in a verb. The record is kept on the dead-letter topic."),
    "VM-1310": ("record given up after many tries", "What the record needs failed again and again. The record is kept on the dead-letter topic with the last cause."),
    "VM-1309": ("a need could not be met", "What the verb asked for (object, search) failed for good. The record is kept on the dead-letter topic with the cause."),
    "VM-1701": ("history could not be read to its end", "The broker stopped answering, or a transaction holds the topic's end back. Check `vigimesh stack status`, then read again."),
    "VM-1702": ("topic is not there", "The stack that was named has no such topic. Run `vigimesh topics apply`, or name the stack that holds the cases with --data or --kafka."),
    "VM-1703": ("no case goes by this id", "`vigimesh case list` shows the ids. A message id may be shortened to its first 6 digits or more."),
    "VM-1704": ("id could mean several cases", "Give more digits of the message id, or the whole case id."),
    "VM-1705": ("no stack to read from", "Start one with `vigimesh dev` or `vigimesh stack up`, or name one: --data DIR, or --kafka and --registry."),
}
