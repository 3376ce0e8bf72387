"""Sentences and what they tell of seriousness: with negation, history, other people, fear, headings and abbreviations.

Written for this project. The first column of criteria is what is stated, the second what is unsure; everything else that a
sentence names is neither. Where a rule cannot be exact it errs towards serious: stated, or unsure for a person.
"""

from __future__ import annotations

import pytest

from vigimesh.domain.safety.text_seriousness import ambiguous, read_text, stated

DEATH, THREAT, HOSPITAL = "death", "life_threatening", "hospitalisation"
DISABLED, CONGENITAL, IMPORTANT = "disability", "congenital_anomaly", "other_medically_important"

# fmt: off
SENTENCES: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = [
    ("She was found dead in her flat by the concierge.", (DEATH,), ()),
    ("His wife found him dead on Monday.", (DEATH,), ()),
    ("The infant was found lifeless and could not be revived.", (DEATH, THREAT), ()),
    ("The patient did not survive the episode.", (DEATH,), ()),
    ("Outcome: fatal.", (DEATH,), ()),
    ("Died: yes. Date of death 3 May.", (DEATH,), ()),
    ("The newborn passed away at home.", (DEATH,), ()),
    ("Pt expired in the ER.", (DEATH,), ()),
    ("Death certificate lists heart failure.", (DEATH, IMPORTANT), ()),
    ("He succumbed to sepsis.", (DEATH, IMPORTANT), ()),
    ("The patient has since died of an unrelated accident.", (DEATH,), ()),
    ("The mother of the patient died last year; the patient recovered.", (), ()),
    ("Patient's father died of stroke at 50.", (), ()),
    ("The patient is alive; his twin died.", (), ()),
    ("The report that the patient died was an error; he is alive.", (DEATH,), ()),
    ("He would have died without the adrenaline.", (), ()),
    ("She could have been killed.", (), ()),
    ("The patient felt as if she were about to die.", (), ()),
    ("He was afraid of dying.", (), ()),
    ("The patient said he was going to die, but settled.", (), ()),
    ("The rash died away by evening.", (), ()),
    ("The battery of the pump died.", (DEATH,), ()),
    ("Her arm felt dead for an hour.", (), ()),
    ("Dead skin peeled from the site.", (), ()),
    ("No deaths were reported.", (), ()),
    ("The reporter denied that the patient had died.", (), ()),
    ("He did not die.", (), ()),
    ("It is not known whether the patient died.", (), (DEATH,)),
    ("The tablets had expired in March.", (), ()),
    ("The lot expires next year.", (), ()),
    ("The event was life-threatening.", (THREAT,), ()),
    ("The reaction was considered lifethreatening by the doctor.", (THREAT,), ()),
    ("It was not life threatening.", (), ()),
    ("The reporter did not consider the event life-threatening.", (), ()),
    ("Potentially life threatening, the doctor wrote.", (), ()),
    ("She arrested in the ambulance and was resuscitated.", (THREAT,), ()),
    ("He went into cardiorespiratory arrest.", (THREAT,), ()),
    ("Full arrest on arrival.", (THREAT,), ()),
    ("She was intubated and ventilated.", (THREAT,), ()),
    ("He did not need intubation.", (), ()),
    ("He needed mechanical ventilation for two days.", (THREAT,), ()),
    ("Mask ventilation was not required.", (), ()),
    ("Transferred to the intensive care unit.", (THREAT,), ()),
    ("Moved from intensive care to the ward.", (THREAT,), ()),
    ("A bed in intensive care was not needed.", (), ()),
    ("The ICU nurse reported a headache in a colleague.", (), ()),
    ("The patient works in intensive care.", (), ()),
    ("He was in a coma for a week.", (THREAT,), ()),
    ("He was in critical condition.", (THREAT,), ()),
    ("No pulse could be felt.", (THREAT,), ()),
    ("Pulse normal, no shock.", (), ()),
    ("She was hospitalised with a fever.", (HOSPITAL,), ()),
    ("She was hospitalized with a fever.", (HOSPITAL,), ()),
    ("He was admitted.", (HOSPITAL,), ()),
    ("He was re-admitted two days later.", (HOSPITAL,), ()),
    ("He was readmitted two days later.", (HOSPITAL,), ()),
    ("Hospital admission followed.", (HOSPITAL,), ()),
    ("Admission to hospital was necessary.", (HOSPITAL,), ()),
    ("The reaction prolonged her hospital stay.", (HOSPITAL,), ()),
    ("Her stay in hospital was prolonged by a week.", (HOSPITAL,), ()),
    ("Existing hospitalisation was prolonged.", (HOSPITAL,), ()),
    ("He spent four days in hospital.", (HOSPITAL,), ()),
    ("She was kept in hospital overnight.", (HOSPITAL,), ()),
    ("She stayed overnight in hospital.", (HOSPITAL,), ()),
    ("An in-patient for a week.", (HOSPITAL,), ()),
    ("He became an inpatient.", (HOSPITAL,), ()),
    ("She required hospitalisation.", (HOSPITAL,), ()),
    ("adm for obs overnight", (HOSPITAL,), ()),
    ("pt adm x 2 days", (HOSPITAL,), ()),
    ("hospitlized for 2 days", (HOSPITAL,), ()),
    ("Discharged from hospital on day 4.", (HOSPITAL,), ()),
    ("Pt. was hosp. for dehydration", (HOSPITAL,), ()),
    ("There was no hospitalisation.", (), ()),
    ("There was no need for hospitalisation.", (), ()),
    ("She wasn't hospitalised.", (), ()),
    ("She was not admitted.", (), ()),
    ("He was seen in the ER but not admitted.", (), ()),
    ("He was treated in the emergency room and sent home.", (), ()),
    ("He was admitted to the emergency department and went home at noon.", (), ()),
    ("He was neither hospitalised nor treated.", (), ()),
    ("Hospitalised? No.", (), ()),
    ("Hospitalisation: none", (), ()),
    ("HOSPITALISED: NO", (), ()),
    ("Hospitalized (Y/N): N", (), ()),
    ("Admission was declined by the parents.", (), ()),
    ("The parents refused hospitalisation.", (), ()),
    ("She denies any hospitalisation.", (), ()),
    ("A hospital nurse reported redness.", (), ()),
    ("The hospital pharmacist reported a rash in an outpatient.", (), ()),
    ("The vaccine was given at the hospital.", (), ()),
    ("She works in a hospital.", (), ()),
    ("The child was born in hospital.", (), ()),
    ("Previously hospitalised in 1985 for asthma.", (), ()),
    ("Hospitalised for asthma in 1985, otherwise well.", (HOSPITAL,), ()),
    ("He had been hospitalised twice in childhood.", (), ()),
    ("Past medical history: hospitalised for pneumonia.", (), ()),
    ("Medical history includes hospitalisation for asthma. Now: mild rash.", (), ()),
    ("History of asthma. He was hospitalised after the dose.", (HOSPITAL,), ()),
    ("PMH asthma; then admitted with wheeze.", (HOSPITAL,), ()),
    ("Her sister was hospitalised; the patient stayed home.", (), ()),
    ("His mother reported that he was hospitalised.", (HOSPITAL,), ()),
    ("His mother was hospitalised with him.", (), (HOSPITAL,)),
    ("The doctor would have admitted her if the fever had gone on.", (), ()),
    ("Hospitalisation was considered but not needed.", (), (HOSPITAL,)),
    ("Hospitalisation was advised.", (), (HOSPITAL,)),
    ("If the fever returns he will be hospitalised.", (), ()),
    ("To avoid hospitalisation he took steroids.", (), ()),
    ("He admitted to drinking.", (), ()),
    ("He admitted having taken two tablets.", (), ()),
    ("Not only fever but hospitalisation followed.", (HOSPITAL,), ()),
    ("He was not well and had to be hospitalised.", (HOSPITAL,), ()),
    ("No fever but was admitted.", (HOSPITAL,), ()),
    ("No rash. Admitted for observation.", (HOSPITAL,), ()),
    ("Without delay she was hospitalised.", (HOSPITAL,), ()),
    ("He has permanent hearing loss.", (DISABLED,), ()),
    ("The injury left him permanently disabled.", (DISABLED,), ()),
    ("She has been unable to work since.", (), (DISABLED,)),
    ("He is now blind in one eye.", (DISABLED,), ()),
    ("Left arm paralysed.", (DISABLED,), ()),
    ("No paralysis, no weakness.", (), ()),
    ("The patient, disabled since birth, had a rash.", (), ()),
    ("He was not disabled by the event.", (), ()),
    ("A temporary paralysis could not be excluded.", (), (DISABLED,)),
    ("The baby was born with a cleft palate.", (CONGENITAL,), ()),
    ("No congenital anomaly was seen.", (), ()),
    ("The patient has congenital heart disease.", (CONGENITAL,), ()),
    ("A congenital anomaly was feared.", (), ()),
    ("A seizure followed.", (IMPORTANT,), ()),
    ("He convulsed twice.", (IMPORTANT,), ()),
    ("Generalised tonic-clonic fit.", (IMPORTANT,), ()),
    ("No seizure activity.", (), ()),
    ("Denies seizures, syncope.", (), ()),
    ("Known epileptic on valproate; headache after the dose.", (), ()),
    ("Family history: epilepsy.", (), ()),
    ("Anaphylaxis treated with adrenaline.", (IMPORTANT,), ()),
    ("Anaphylaxis kit was at hand.", (), ()),
    ("Dx: GBS", (IMPORTANT,), ()),
    ("r/o GBS", (), (IMPORTANT,)),
    ("Meningitis was excluded by lumbar puncture.", (), ()),
    ("Suicidal thoughts since the dose increase.", (IMPORTANT,), ()),
    ("No suicidal thoughts.", (), ()),
    ("Agranulocytosis on day 20.", (IMPORTANT,), ()),
    ("He had a heart attack.", (IMPORTANT,), ()),
    ("SERIOUSNESS: hospitalisation. OUTCOME: recovered.", (HOSPITAL,), ()),
    ("Seriousness criteria: none of death, hospitalisation, disability.", (), ()),
    ("FAMILY HISTORY: sister with epilepsy. EVENT: mild rash.", (), ()),
    ("PAST HISTORY: admitted 1990 for appendicitis. EVENT: itching.", (), ()),
    ("PMH: seizures. HPI: fever for a day.", (), ()),
    ("HISTORY OF PRESENT ILLNESS: seizure on day 2.", (IMPORTANT,), ()),
    ("ADMISSION DIAGNOSIS: febrile convulsion.", (HOSPITAL, IMPORTANT), ()),
    ("She has no children and died in her sleep.", (DEATH,), ()),
    ("Not feeling well, he was taken to the ER and died there.", (DEATH,), ()),
    ("No improvement; died on day 9.", (DEATH,), ()),
    ("The previously healthy man died.", (DEATH,), ()),
    ("Without treatment he died.", (DEATH,), ()),
    ("The patient's mother found him dead.", (DEATH,), ()),
    ("The mother says the child died.", (DEATH,), ()),
    ("If only the dose was right; he died.", (DEATH,), ()),
    ("He could have been saved but died.", (DEATH,), ()),
    ("Possible overdose. Died at home.", (DEATH,), ()),
    ("Previously reported hospitalisation is confirmed.", (HOSPITAL,), ()),
    ("Hospitalised three times in the past week.", (HOSPITAL,), ()),
    ("Known diabetic, hospitalised with a rash.", (HOSPITAL,), ()),
    ("Not hospitalised at first, but hospitalised on day 3.", (HOSPITAL,), ()),
    ("He refused treatment and was hospitalised.", (HOSPITAL,), ()),
    ("Hospitalised? Yes, for a day.", (HOSPITAL,), ()),
    ("Was she hospitalised? No.", (), ()),
    ("The nurse at the hospital said that she had been admitted overnight.", (HOSPITAL,), ()),
    ("His wife, a nurse, drove him in; he was admitted.", (HOSPITAL,), ()),
    ("Brother well. Patient hospitalised.", (HOSPITAL,), ()),
    ("The consultant's opinion: hospitalisation due to the drug.", (HOSPITAL,), ()),
    ("pt d/c from hosp on day 2", (HOSPITAL,), ()),
    ("Pt adm to hosp x 3 days", (HOSPITAL,), ()),
    ("no adm, sent home", (), ()),
    ("ED visit only; no admission.", (), ()),
    ("The mother had a seizure while pregnant; the patient is her son.", (), ()),
    ("His seizure stopped after diazepam.", (IMPORTANT,), ()),
    ("Seizure could not be stopped.", (IMPORTANT,), ()),
    ("No further seizures after the first one.", (), ()),
    ("Death was not related to the drug.", (DEATH,), ()),
    ("The hospitalisation was not related to the drug.", (HOSPITAL,), ()),
    ("Hospitalisation was considered related to the drug.", (HOSPITAL,), ()),
    ("Not recovered from the stroke.", (IMPORTANT,), ()),
    ("He denied chest pain but had a cardiac arrest an hour later.", (THREAT,), ()),
    ("Does not breathe without a ventilator.", (), (THREAT,)),
    ("The doctor feared for her life: life-threatening anaphylactic shock.", (THREAT,), ()),
    ("Not related: hospitalisation for a planned hernia repair.", (), (HOSPITAL,)),
]
# fmt: on

#: Read as serious though a person would not: the safe side, and known.
TOO_SERIOUS = [
    ("The battery of the pump died.", DEATH),
    ("The other patient in the room had a cardiac arrest; our patient is well.", THREAT),
    ("The report that the patient died was an error; he is alive.", DEATH),
    ("Hospitalised for asthma in 1985, otherwise well.", HOSPITAL),
]


def test_there_are_enough_of_both_kinds() -> None:
    told = [row for row in SENTENCES if row[1]]
    assert len(SENTENCES) >= 120
    assert min(len(told), len(SENTENCES) - len(told)) >= 60
    assert len({text for text, _, _ in SENTENCES}) == len(SENTENCES)


@pytest.mark.parametrize(("text", "told", "unsure"), SENTENCES)
def test_a_sentence_tells_what_it_tells_and_no_more(
    text: str, told: tuple[str, ...], unsure: tuple[str, ...]
) -> None:
    hits = read_text(text)
    assert set(stated(hits)) == set(told)
    assert set(unsure) <= set(ambiguous(hits))


@pytest.mark.parametrize(("text", "told", "unsure"), SENTENCES)
def test_the_sentence_before_and_after_change_nothing(
    text: str, told: tuple[str, ...], unsure: tuple[str, ...]
) -> None:
    end = "" if text[-1] in ".?!" else "."
    hits = read_text(f"The patient took one tablet on Monday. {text}{end} Nothing else was told.")
    assert set(stated(hits)) == set(told)
    assert set(unsure) <= set(ambiguous(hits))


@pytest.mark.parametrize(("text", "criterion"), TOO_SERIOUS)
def test_where_a_rule_is_not_exact_it_errs_towards_serious(text: str, criterion: str) -> None:
    assert criterion in stated(read_text(text))
