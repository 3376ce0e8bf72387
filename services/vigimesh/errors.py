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
#: 12 stack, 13 loop and broker, 14 intake, 15 knowledge, 16 objects, 17 command line, 18 background.
EXPLANATIONS: dict[str, tuple[str, str]] = {
    "VM-1001": (
        "not a record in the Confluent wire format",
        "The bytes do not begin with 0 or 1. The writer must use a Confluent-compatible Avro serializer. The record is kept on the dead-letter topic with its bytes.",
    ),
    "VM-1002": (
        "unknown schema id",
        "The schema registry does not know the id in the record. Check that writer and reader use the same registry. The record is kept on the dead-letter topic with its bytes.",
    ),
    "VM-1003": (
        "bytes do not fit their schema",
        "The Avro body is cut off or was written with another schema than the id says. The record is kept on the dead-letter topic with its bytes.",
    ),
    "VM-1004": (
        "event does not fit its class",
        "The value was decoded but a field has a value that this version cannot hold. Compare the writer's schema with the one in `schemas/`.",
    ),
    "VM-1005": (
        "record larger than the topic takes",
        "Put payloads over 64 KiB into the object store and refer to them by digest.",
    ),
    "VM-1006": (
        "schema would break readers or writers",
        "A change must stay FULL_TRANSITIVE: add fields with a default only, never remove or retype one. `vigimesh schemas check` says which version it breaks.",
    ),
    "VM-1007": (
        "topic differs from the topics table",
        "`vigimesh topics apply` creates what is missing; a wrong partition count or policy must be changed by hand because keys would move.",
    ),
    "VM-1008": (
        "registry refuses the request",
        "The registry answered, but will not do what was asked: wrong credentials, no rights, or a rule of its own. The message gives its answer; correct the registry settings or its rights.",
    ),
    "VM-1009": (
        "schema is not registered",
        "The registry does not hold the schema of this version for a topic that it writes. Run `vigimesh schemas register` once after each upgrade, before the workers start.",
    ),
    "VM-1010": (
        "printed schemas are missing or damaged",
        "The folder `schemas/` is part of the installation. Install the package again; in a checkout, restore `schemas/published` from version control and run `vigimesh schemas print`.",
    ),
    "VM-1011": (
        "consumer group cannot be initialised",
        "A group that has members and lacks an offset for one of its partitions cannot be given one. Stop the group's workers, run `vigimesh topics apply`, start them again.",
    ),
    "VM-1101": (
        "unknown setting",
        "Correct the name; the message gives the nearest known one. `vigimesh config show` lists all.",
    ),
    "VM-1102": ("setting has a wrong value", "Correct the value as the message says."),
    "VM-1103": (
        "workflow card is wrong",
        "Correct the card as the message says, then run `vigimesh cards check`.",
    ),
    "VM-1104": (
        "rule does not compile or names an unknown field",
        "Correct the CEL expression; the message gives the nearest known field.",
    ),
    "VM-1105": (
        "rule failed on a case",
        "The CEL expression compiled but could not be evaluated on this case. The case goes the safe way (hot, or to a person); make the rule hold for every value of the facts it names.",
    ),
    "VM-1106": (
        "table of legal clocks is wrong",
        "Correct the row as the message says; the columns are explained at the top of `clocks.toml`.",
    ),
    "VM-1201": (
        "list of pinned downloads is wrong",
        "`jars.lock` names every file the embedded stack downloads, with its SHA-256. Restore it from version control, reinstall vigimesh, or (developers) write it anew with `python -m vigimesh.app.devstack.relock`.",
    ),
    "VM-1202": (
        "downloaded file is not the pinned one",
        "The bytes differ from those this version was built with, and were not used. Delete the file named in the message and start again; if it repeats, the source of the download sends something else: do not go on.",
    ),
    "VM-1203": (
        "download failed",
        "The first start downloads some 200 MB, once. Check the network and the proxy settings (HTTPS_PROXY, REQUESTS_CA_BUNDLE), then start again.",
    ),
    "VM-1204": (
        "port is not free",
        "Another program listens on the port that was asked for. Stop it, give another port, or give none.",
    ),
    "VM-1205": (
        "folder cannot be used",
        "The data folder must be writable, and its path short enough for a Unix socket or TMPDIR must be. When root starts the stack, PostgreSQL's own user must be able to pass through its parents.",
    ),
    "VM-1206": (
        "too little memory",
        "The stack needs 1.2 GB of available memory. Close other programs or raise the limit of the container.",
    ),
    "VM-1207": (
        "too little disk",
        "The stack needs 1.5 GB of free disk, and the room for its downloads the first time. Free some, or give `--data` a folder elsewhere.",
    ),
    "VM-1208": (
        "PostgreSQL's system user cannot be made or used",
        "PostgreSQL refuses to run as root, so root's stack runs it as the system user `pgserver`. Make that user by hand, or run as an ordinary user.",
    ),
    "VM-1209": (
        "service of the stack did not start or stay up",
        "The message names the service and its log. Correct what the log says and start again; a new `--data` folder starts from nothing.",
    ),
    "VM-1210": (
        "installation lacks a program of the stack",
        "A wheel with the Java runtime, PostgreSQL or Valkey is missing or is for another platform. Reinstall vigimesh with all its dependencies.",
    ),
    "VM-1211": (
        "stack is held by another process",
        "Another start or stop on the same data folder has not ended in time. Run `vigimesh stack down`, or give `--data` another folder.",
    ),
    "VM-1301": (
        "broker cannot be reached",
        "Check the address and that the stack is up: `vigimesh stack status`.",
    ),
    "VM-1302": (
        "transaction in doubt",
        "The producer was replaced and the committed offsets were read again; nothing to do unless it repeats.",
    ),
    "VM-1303": (
        "fenced by a newer process with the same instance name",
        "Another process runs with the same INSTANCE. Stop one of them or give it another name.",
    ),
    "VM-1304": (
        "dead-letter record could not be written",
        "The partition stands still so that nothing is lost. Check the deadletter topic's size limit and rights.",
    ),
    "VM-1305": (
        "no committed offset for a partition",
        "The group was not initialised, so that nothing is skipped silently. Run `vigimesh topics apply`.",
    ),
    "VM-1306": (
        "state could not be restored in time",
        "The compacted topic could not be read to its end; an open transaction may hold it back. The worker restarts and tries again.",
    ),
    "VM-1307": (
        "handler failed on a record",
        "A defect in a verb. The record is kept on the dead-letter topic with the error; after a fix it can be redriven.",
    ),
    "VM-1308": (
        "verb asked for more than 8 rounds of needs",
        "A defect in a verb. The record is kept on the dead-letter topic.",
    ),
    "VM-1312": (
        "partition went before its work was committed",
        "Another worker has the partition now and does that work again; nothing is lost. When it is frequent, look for workers that come and go.",
    ),
    "VM-1313": (
        "a transaction does not end",
        "The broker's coordinator does not answer, and the client waits longer than it was told. The process ends, so that its keeper starts it again; its successor ends the transaction.",
    ),
    "VM-1314": (
        "a loop hangs",
        "The client waits longer than it was told, or a call does not return. The process ends, so that its keeper starts it again; what was not committed is done again. When it repeats, look at the broker.",
    ),
    "VM-1310": (
        "record given up after many tries",
        "What the record needs failed again and again. The record is kept on the dead-letter topic with the last cause.",
    ),
    "VM-1309": (
        "a need could not be met",
        "What the verb asked for (object, search) failed for good. The record is kept on the dead-letter topic with the cause.",
    ),
    "VM-1311": (
        "map of what is done does not fit beside the offset",
        "A defect in vigimesh: records are refused before their map can outgrow the space. Nothing was committed and nothing is lost; restart the worker and report it.",
    ),
    "VM-1501": (
        "knowledge base is away",
        "PostgreSQL does not answer, has not been migrated, or holds no document yet. Work waits and goes on by itself. Check `vigimesh stack status` and the setting of the database's address.",
    ),
    "VM-1502": (
        "document changed without a new version",
        "A version of a document never changes, because decisions cite it. Give the changed document a higher version and load it again.",
    ),
    "VM-1503": (
        "document cannot be read",
        "A document is Markdown with front matter: `id`, `version`, `title`, `kind`, and optionally `names` and `aliases`. Correct the line that the message names.",
    ),
    "VM-1504": (
        "migration changed after it was applied",
        "The database was built with another text of this migration. Restore the released text and put the change into a new migration.",
    ),
    "VM-1505": (
        "database is newer than this version",
        "A newer vigimesh has migrated the database. Install that version again, or use another database.",
    ),
    "VM-1506": (
        "database user lacks a right",
        "The user must be allowed to create a schema and tables in its database. Make it the owner, or let a user with the right migrate first.",
    ),
    "VM-1601": (
        "object is not in the store",
        "No bytes are stored under this digest. Check that all workers use the same object store, and that nothing but the age rule deletes from it.",
    ),
    "VM-1602": (
        "object's bytes do not fit its digest",
        "The store returned other bytes than were put in: damage, or an edit. Restore the object from a copy; nothing that cites it can be trusted until then.",
    ),
    "VM-1603": (
        "object store is away or full",
        "The bytes could not be written or read now. Work waits and goes on by itself. Check the address, the network and the free space.",
    ),
    "VM-1604": (
        "object store refuses",
        "The settings of the object store are wrong: its address, its credentials or its rights. The message says which; correct it and start again.",
    ),
    "VM-1605": (
        "object is too large",
        "An object holds at most 1 GiB. Split the file into several messages.",
    ),
    "VM-1701": (
        "history could not be read to its end",
        "The broker stopped answering, or a transaction holds the topic's end back. Check `vigimesh stack status`, then read again.",
    ),
    "VM-1702": (
        "topic is not there",
        "The stack that was named has no such topic. Run `vigimesh topics apply`, or name the stack that holds the cases with --data or --kafka.",
    ),
    "VM-1703": (
        "no case goes by this id",
        "`vigimesh case list` shows the ids. A message id may be shortened to its first 6 digits or more.",
    ),
    "VM-1704": ("id could mean several cases", "Give more digits of the message id, or the whole case id."),
    "VM-1705": (
        "no stack to read from",
        "Start one with `vigimesh dev` or `vigimesh stack up`, or name one: --data DIR, or --kafka and --registry.",
    ),
    "VM-1401": (
        "file or folder can't be read",
        "It is not there, may not be read, or the disk failed. Check path and rights, then run again; what was read before stays.",
    ),
    "VM-1402": (
        "gzip damaged or cut off",
        "The cases before the damage were read. Pack and send the file again; what was read is then refused as a repeat, so nothing enters twice.",
    ),
    "VM-1403": (
        "not a file that is read here",
        "Intake reads E2B(R3) batches, VAERS tables and JSON Lines (docs/intake.md). Convert or unpack the file. Its bytes are kept in the object store.",
    ),
    "VM-1404": (
        "wrong encoding",
        "The bytes are not in the encoding that the file names or that the format has. Save it in UTF-8 (VAERS: latin-1) and send it again. The bytes are kept in the object store.",
    ),
    "VM-1405": (
        "XML cut off or not well-formed",
        "The message names the ICSR and the line. Correct it and send that ICSR again; the others of the batch were read. The bytes are kept in the object store.",
    ),
    "VM-1406": (
        "XML with a document type",
        "A DOCTYPE can declare entities that read files or fill the memory, so the file is refused before it is parsed. Remove the DOCTYPE: E2B(R3) messages have none.",
    ),
    "VM-1407": (
        "message too large",
        "At most 16 MiB a message, 8 MiB a narrative, 900 kB an event without its narrative. Shorten the texts or send large files apart. The bytes are kept in the object store.",
    ),
    "VM-1408": (
        "nothing names the case",
        "A case needs the sender's report id (C.1.1, VAERS_ID, report_id) or the worldwide unique id (C.1.8.1). The bytes are kept in the object store.",
    ),
    "VM-1409": (
        "repeat of a message",
        "The same message (sender, receiver, report id, creation date and bytes) was read before in this reading. The first one was taken; nothing to do. A new version needs a new creation date.",
    ),
    "VM-1410": (
        "column missing",
        "A VAERS table lacks a column without which cases would be read wrongly. Send the table with all columns.",
    ),
    "VM-1411": (
        "row does not fit the header",
        "The row has too many or too few fields, or a quote is never closed. Quote commas inside a field and send the row again; the other rows were read.",
    ),
    "VM-1412": (
        "VAERS table missing",
        "DATA, SYMPTOMS and VAX of one year must be in one folder: a case without its symptoms or products would be another case.",
    ),
    "VM-1413": (
        "line is not JSON",
        "JSON Lines has one object a line, without line breaks inside. The other lines were read; the bytes of this one are kept in the object store.",
    ),
    "VM-1414": (
        "field of a JSON line is wrong",
        "A field is unknown, has the wrong type or a word that is not allowed; the message gives the nearest known one. `docs/intake.md` lists the fields.",
    ),
    "VM-1415": (
        "id too long or with control characters",
        "An id has at most 250 characters and none that can't be seen: ids are keys of topics and tables. Correct it and send the message again.",
    ),
    "VM-1706": ("no such error code", "`vigimesh explain` without a code lists all."),
    "VM-1707": (
        "worker did not become ready",
        "The message names the stage and its log. Correct what the log says and start again; a worker that ends is started again by itself, with growing pauses.",
    ),
    "VM-1708": (
        "a mesh runs on this folder already",
        "Two meshes with the same instance names would fence each other's transactions. Use the one that runs, stop it, or give `--data` another folder.",
    ),
    "VM-1720": (
        "no single dead letter goes by this id",
        "`vigimesh deadletter list` shows the ids of those that are open; give the whole one, or more of its beginning. One that was redriven or closed is not open any more.",
    ),
    "VM-1721": (
        "dead letter cannot go back",
        "The topic it left is not on this cluster, or no stage reads it in this version. Create it with `vigimesh topics apply`, or close the dead letter with its reason.",
    ),
    "VM-1722": (
        "no open transaction goes by this id",
        "`vigimesh transactions list` shows those that are open. One that has ended meanwhile needs nothing; an id that is not known is not touched, because asking for it would create it.",
    ),
    "VM-1723": (
        "transactions of the cluster cannot be read",
        "They lie on the broker's topic `__transaction_state`, which some services keep from their customers. Grant the right to read it, or use the service's own tools.",
    ),
    "VM-1801": (
        "parked event has no topic to go back to",
        "The topic it left is not on this cluster, or no stage reads it. The event is kept on the dead-letter topic as it was parked. Create the topic with `vigimesh topics apply`, then redrive: it is parked again and resumed at once.",
    ),
}
