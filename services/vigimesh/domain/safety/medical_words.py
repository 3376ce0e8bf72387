"""Words of medical English that mean the same, as data: one meaning a line.

Written for this project from general medical usage (Greek and Latin roots beside English words, British beside American
spelling, abbreviations of US labels). It is no terminology: MedDRA, which is licensed, is neither shipped nor copied.
"""

from __future__ import annotations

#: One meaning a line: the form that stands for it, then the others. Several words may stand for one, and one for several.
SAME = """
kidney: renal, nephric
liver: hepatic
heart: cardiac
lung: pulmonary
skin: cutaneous, dermal, dermatologic
brain: cerebral, intracerebral
intracranial: intra cranial
eye: ocular, ophthalmic, intraocular
mouth: oral, buccal
stomach: gastric
bowel: intestinal, intestine, gut
gastrointestinal: gi, gastro intestinal
nose: nasal
ear: aural, otic, auricular
tongue: lingual
throat: pharyngeal, pharynx
esophagus: esophageal
gum: gingival, gingiva
eyelid: palpebral, lid
blood vessel: vascular
vein: venous
artery: arterial
nerve: neural
muscle: muscular
joint: articular
abdomen: abdominal
chest: thoracic
pelvis: pelvic
spine: spinal, intraspinal, spinal cord
pancreas: pancreatic
spleen: splenic
uterus: uterine
vagina: vaginal
ovary: ovarian
breast: mammary
prostate: prostatic
testis: testicular, testicle
pleura: pleural
pericardium: pericardial
peritoneum: peritoneal
retina: retinal
cornea: corneal
conjunctiva: conjunctival
sclera: scleral
macula: macular
anus: anal
rectum: rectal
colon: colonic
larynx: laryngeal
bronchus: bronchial
limb: extremity
face: facial
tooth: dental, teeth
fetus: fetal
vision: visual, sight
urine: urinary
stool: feces, fecal
nervous system: neurologic, neurological
psychiatric: mental
blood: hematologic, hematological
airway: respiratory tract
increase: increased, increases, elevated, elevation, raised, rise, high, higher, gain, gained
decrease: decreased, decreases, reduced, reduction, low, lower, lowered, diminished, loss, lost
prolong: prolonged, prolongation, lengthened
shorten: shortened, accelerated
abnormal: abnormality, abnormally, irregular, irregularity, altered, alteration, change, changed
disorder: disease, disturbance, event, problem
damage: harm, injury
impair: impairment, impaired, poor
growth: overgrowth
fever: pyrexia, febrile
seizure: convulsion, convulsive
bleed: hemorrhage, hemorrhagic, bleeding, bled
itch: pruritus, itching, itchiness, itchy, pruritic
hair loss: alopecia, baldness
diarrhea: loose stool
vomit: emesis
dyspnea: shortness of breath, breathlessness, difficulty breathing, breathing difficulty, trouble breathing, difficulty in breathing
dysphagia: difficulty swallowing, swallowing difficulty, trouble swallowing, difficulty in swallowing
edema: oedematous, edematous
swell: swelling, swollen
contusion: bruise, bruising
hypoesthesia: numb, numbness
paresthesia: tingling, pins and needles
dizzy: dizziness, lightheaded, lightheadedness, light headed, light headedness
syncope: faint, fainting, syncopal
somnolence: sleepiness, drowsiness, drowsy, somnolent
fatigue: tired, tiredness
asthenia: weakness, asthenic
insomnia: sleeplessness
urticaria: hives, urticarial
stroke: cerebrovascular accident, cva
myocardial infarction: heart attack
hypertension: high blood pressure, hypertensive
hypotension: low blood pressure, hypotensive
anorexia: decreased appetite, loss of appetite, lack of appetite, poor appetite
dyspepsia: indigestion
dry mouth: xerostomia
epistaxis: nosebleed, nose bleed
common cold: nasopharyngitis
influenza: flu
erythema: redness, reddening, reddened, erythematous
hyperemia: hyperemic
tachycardia: rapid heart rate, fast heartbeat, rapid heartbeat
bradycardia: slow heart rate, slow heartbeat
heart rate: pulse rate
death: fatal, fatality, died, die, dies, dying
neoplasm: tumor, tumour
herpes virus infection: herpes infection
malignant neoplasm: malignancy, cancer, carcinoma
thrombosis: thrombotic, thrombus, thrombi, clot, blood clot
embolism: embolic, embolus, emboli, thromboembolism, thromboembolic
vein embolism: vte
ischemia: ischemic
anaphylactic reaction: anaphylaxis
allergic reaction: hypersensitivity, hypersensitivity reaction, allergy
acute kidney damage: acute renal failure, acute kidney injury, aki
confusion: confusional state, confused, confusional
suicide: completed suicide
suicidal ideation: suicidal thought, suicidal thinking
suicide attempt: attempted suicide, suicidal attempt
myalgia: muscle pain, muscle ache, muscular pain
arthralgia: joint pain, pain in joint
headache: cephalalgia
breast pain: mastalgia, mastodynia
pain: ache, painful, aching
muscle spasm: muscle cramp, muscular cramp
diplopia: double vision
deafness: hearing loss, loss of hearing
rhinorrhea: runny nose
nasal congestion: stuffy nose, nose congestion
fungal infection: mycosis, mycotic infection
fungal: mycotic, fungus, fungi
candida infection: candidiasis, candidosis, moniliasis
aspergillus infection: aspergillosis
legionella infection: legionellosis
cytomegalovirus infection: cmv infection
salmonella infection: salmonellosis
tuberculosis: tb, tuberculous
cytomegalovirus: cmv
bacteria: bacterial
virus: viral
parasite: parasitic
protozoa: protozoal
aspartate aminotransferase: ast, sgot, aspartate transaminase
alanine aminotransferase: alt, sgpt, alanine transaminase
aminotransferase: transaminase
gamma glutamyltransferase: ggt, gamma glutamyl transferase, gamma glutamyl transpeptidase, gamma gt
creatine phosphokinase: cpk, creatine kinase, ck
lactate dehydrogenase: ldh
white blood cell: wbc, leukocyte, leucocyte
red blood cell: rbc, erythrocyte
international normalized ratio: inr
hemoglobin: hgb, hb
hematocrit: hct
electrocardiogram: ecg, ekg, electrocardiographic
thyroid stimulating hormone: tsh
follicle stimulating hormone: fsh
luteinizing hormone: lh
low density lipoprotein: ldl
high density lipoprotein: hdl
sex hormone binding globulin: shbg
thyroxine: t4
glomerular filtration rate: gfr, egfr
intraocular pressure: iop
c reactive protein: crp
blood urea nitrogen: bun
prostate specific antigen: psa
phosphorus: phosphate
glucose: sugar
liver function test: lft
atrioventricular: av
qt: qtc
deep vein thrombosis: dvt
urinary tract infection: uti
gastroesophageal reflux disease: gerd, gastroesophageal reflux
congestive heart failure: chf
chronic obstructive pulmonary disease: copd
acute respiratory distress syndrome: ards
stevens johnson syndrome: sjs
drug reaction with eosinophilia and systemic symptom: dress
disseminated intravascular coagulation: dic
progressive multifocal leukoencephalopathy: pml
posterior reversible encephalopathy syndrome: reversible posterior leukoencephalopathy syndrome, rpls
tumor lysis syndrome: tls
transient ischemic attack: tia
neuroleptic malignant syndrome: nms
hemolytic uremic syndrome: hus
hemophagocytic lymphohistiocytosis: hlh, haemophagocytic syndrome
pneumocystis jirovecii pneumonia: pjp, pcp
palmar plantar erythrodysesthesia syndrome: hand foot syndrome, palmar plantar erythrodysesthesia
atrial fibrillation: afib
antinuclear antibody: ana
abortion spontaneous: miscarriage
congenital anomaly: birth defect
menstruation: menstrual, menses, menstruate
micturition: urination, void, voiding
pollakiuria: urinary frequency, frequent urination, increased urinary frequency, frequency of urination
dysuria: painful urination, painful micturition
erectile dysfunction: impotence
hyperhidrosis: sweating, increased sweating, diaphoresis, perspiration, excessive sweating, sweating increased
hot flush: hot flash
defecation: bowel movement
ulcer: ulceration, ulcerative, ulcerated
dysgeusia: altered taste, taste perversion, taste alteration, abnormal taste, taste disturbance
tinnitus: ringing in the ears
toothache: tooth pain
sore throat: oropharyngeal pain, throat pain, throat soreness, pharyngolaryngeal pain
respiratory tract infection: respiratory infection
photosensitivity: photosensitivity reaction, sun sensitivity
infusion reaction: infusion related reaction
pancytopenia: pancytopenic
neutropenia: neutropenic
thrombocytopenia: thrombocytopenic
hyperglycemia: hyperglycemic
hypoglycemia: hypoglycemic
anemia: anemic
necrosis: necrotic, necrotizing
fibrosis: fibrotic
sepsis: septic
psychosis: psychotic, psychotic disorder
hepatotoxicity: liver toxicity
nephrotoxicity: kidney toxicity
neurotoxicity: nervous system toxicity
cardiotoxicity: heart toxicity
hematotoxicity: hematologic toxicity
ototoxicity: ear toxicity
demyelination: demyelinating disease, demyelinating disorder
blister: bullous, vesicular, vesicle, bullae
nausea: nauseous, nauseated
anxiety: anxious
depression: depressive, depressed
agitation: agitated
tremor: trembling
consciousness: conscious
acne: acneiform
metastasis: metastatic
hormone: hormonal
behavior: behavioral
generalized: generalised, general
chill: chills
rhabdomyolysis: rhabdo
conjunctivitis: pink eye
irritable: irritability
discolored: discoloration, discolouration
dehydrated: dehydration
infertility: infertile
rash: skin rash, eruption, exanthema, exanthem
multi organ: multiorgan
post procedural: postprocedural
postoperative: post operative
angina pectoris: angina
asthma: bronchial asthma
chronic kidney disease: chronic renal failure, chronic renal insufficiency
interstitial nephritis: tubulointerstitial nephritis
dyskinesia: involuntary movement
bone marrow failure: myelosuppression, bone marrow suppression, bone marrow depression
suicidal behavior: suicidality
impulsive: impulsivity
aggression: aggressive, aggressiveness
rigid: rigidity
withdrawal syndrome: discontinuation syndrome
blood urea: blood urea nitrogen
hodgkin lymphoma: hodgkin s disease, hodgkin disease, hodgkin s lymphoma
graves disease: basedow s disease, graves s disease
epidural: extradural
neonate: neonatal, newborn
exfoliation: peeling, scaling, flaking, desquamation
crust: scab, crusting
tri iodothyronine: t3, triiodothyronine
jc virus: jcv
central nervous system: cns
memory loss: amnesia, loss of memory
unconscious: loss of consciousness
incontinent: incontinence
tolerance impaired: intolerance
jaundice: icterus, jaundiced
pulmonary embolism: pulmonary embolus
gait: walking
visceral: viscera
peripheral neuropathy: polyneuropathy
sedation: sedated
dry skin: xerosis
dry eye: xerophthalmia
inflammation: inflammatory, inflamed
arrhythmia: cardiac arrhythmia, heart rhythm disorder, dysrhythmia
aphthous ulcer: aphthous stomatitis, canker sore
liver function test: liver test
disseminated tuberculosis: miliary tuberculosis
transplant: graft, transplantation
bone density: bone mineral density, bmd
impaired healing: impaired wound healing, delayed healing, delayed wound healing, delay healing
low density lipoprotein: ldl c, ldl cholesterol, low density lipoprotein cholesterol
high density lipoprotein: hdl c, hdl cholesterol, high density lipoprotein cholesterol
polyomavirus: polyoma virus
atrioventricular block complete: third degree av block, complete heart block
prothrombin: factor ii
photophobia: light sensitivity
muscle weakness: muscular weakness, muscle asthenia
intervertebral: inter vertebral
gallbladder: gall bladder
abscess: abscessed
haemorrhoid: piles
varicella: chickenpox, chicken pox
herpes zoster: shingles
gastroenteritis: stomach flu
pharyngitis: pharyngeal inflammation
coordination disorder: incoordination
teratogenic: teratogenicity
carcinogenic: carcinogenicity
immunosuppression: immunosuppressive, immunosuppressed
ventricular: ventricle
atrial: atrium
cardiovascular: cardio vascular
osteonecrosis: bone necrosis, avascular necrosis
hemoptysis: coughing blood, coughing up blood
hematemesis: vomiting blood, blood vomiting
hematuria: blood in urine, blood in the urine, bloody urine
hematochezia: blood in stool, bloody stool, rectal bleeding
melena: tarry stool, black stool
"""
