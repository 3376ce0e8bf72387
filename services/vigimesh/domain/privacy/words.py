"""The words that tell a person's name from everything else that is written with a capital. Facts of the language, no rules.

A word that is in none of these lists and stands where a name could stand is taken for a name.
"""

from __future__ import annotations


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


#: Before a name and never without one: the next word goes, whatever it is.
TITLES = _words(
    "mr mrs ms miss mister mx messrs mstr sir madam mme mlle monsieur madame herr frau fräulein señor señora señorita",
    "senor senora sra srta signor signora sig dott dottoressa mevr meneer pani pan",
)
#: Relatives, who are called by a given name: "his daughter Beatrix".
KIN = _words(
    "husband wife son daughter mother father brother sister aunt uncle grandmother grandfather granddaughter grandson niece",
    "nephew cousin",
)
#: Before a name or without one: the next word goes unless it is an ordinary one.
ROLES = KIN | _words(
    "dr drs doctor prof professor nurse pharmacist midwife physician surgeon dentist therapist paramedic",
    "reverend rev pastor rabbi imam officer sergeant captain colonel judge teacher coach",
    "patient pt pts subject reporter consumer caller client claimant vaccinee informant",
    "spouse partner mom mum mommy dad daddy parent twin grandma grandpa fiance fiancé fiancee fiancée",
    "boyfriend girlfriend friend neighbor neighbour roommate colleague coworker boss carer caregiver caretaker guardian",
    "baby infant child boy girl toddler teenager man woman lady gentleman named attorney lawyer specialist cardiologist",
    "neurologist dermatologist pediatrician paediatrician oncologist allergist gynecologist gynaecologist psychiatrist gp",
    "investigator monitor resident registrar consultant matron assistant dear attn attention signed sincerely regards",
    "spoke contacted contact witness kin employee author",
)
#: Between a role and the name, saying nothing: "her husband, named Paul", "patient is John".
LINKS = _words("named called is was is: name aka alias known as our my the")

#: Written in small letters inside names.
PARTICLES = _words(
    "de la las los del della di da dos du le van von der den ter ten zu zur bin ibn al el st mac af av y e"
)
#: Behind a name.
SUFFIXES = _words("jr sr ii iii iv esq")

#: Given names that are hardly ever anything else. Names that many bear; those of fewer are found by their place.
GIVEN = _words(
    "aaron abigail adam adrian agnes ahmed aidan aisha alan albert alejandro alex alexander alexandra alfred ali alice alicia",
    "alison allison amanda amber amelia amir amy ana andrea andreas andrew angela anita ann anna anne annette annie anthony",
    "antoine antonio arthur ashley audrey ava barbara beatrice ben benjamin bernard beth betty beverly bob bonnie boris brandon",
    "brenda brian bridget bruce bryan caitlin cameron camille carl carla carlos carmen caroline carolyn catherine cathy cecilia",
    "charles charlie charlotte chen cheryl chloe chris christina christine christopher cindy claire clara claudia clive colin",
    "connie conor craig cynthia daisy daniel daniela danielle danny darren dave david dawn deborah debra denise dennis derek",
    "diana diane diego dmitri dolores dominic donald donna dorothy douglas duncan dylan eddie edith edward eileen elaine eleanor",
    "elena eli elisabeth elizabeth ella ellen emily emma eric erica erik erin ernest esther ethan eugene eva evan evelyn fatima",
    "felix fernando fiona florence frances francesca francis francisco fred frederick gabriel gabriela gary gavin geoffrey",
    "george georgia gerald geraldine gerard gina giovanni giulia gladys gloria gordon graham greg gregory guillermo gustavo",
    "hannah hans harold harriet harry hassan heather hector heidi helen helena helga henry herbert howard hugh hugo ian ibrahim",
    "ingrid irene isaac isabel isabella ivan jackie jacob jacqueline jacques jake james jamie jane janet janice jasmine jason",
    "javier jay jean jeff jeffrey jennifer jenny jeremy jerome jerry jessica jesus jill jim jimmy joan joann joanna joanne joe",
    "joel johan johannes john johnny jon jonathan jorge jose joseph joshua joyce juan judith judy julia julian julie jürgen justin",
    "karen karl kate katherine kathleen kathryn kathy katie keith kelly ken kenneth kevin kimberly klaus krishna kristen kurt kyle",
    "larry lars laura lauren laurence lawrence leah lee lena leo leon leonard leslie liam lillian lily linda lisa lois lorraine",
    "louis louise lucas lucia lucy luis lukas luke lydia lynn madison mandy manuel marco marcus margaret maria marian marie marilyn",
    "mario marion marjorie martha martin mary mateo matthew maureen maurice max maya megan melanie melissa mia michael michel",
    "michelle miguel mike mildred miriam mohamed mohammed molly monica muhammad nadia nancy naomi natalia natalie nathan neil",
    "nicholas nick nicola nicole nigel nina noah noel nora norma norman olga oliver olivia omar oscar otto owen pablo pamela paolo",
    "patricia patrick paul paula pauline pedro peggy peter petra philip phillip phyllis pierre priya rachel ralph ramon raymond",
    "rebecca renee ricardo richard rita rob robert roberta roberto robin rodney roger roland ronald rosa rosemary ross roy russell",
    "ruth ryan sabine sally sam samantha samuel sandra sanjay sara sarah scott sean sebastian sergei shannon sharon sheila shirley",
    "simon sofia sonia sophia sophie stacy stanley stefan stella stephanie stephen steve steven stuart susan susanna suzanne sven",
    "sylvia tamara tanya tara ted teresa terry theodore theresa thomas tiffany tim timothy tina todd tom tommy tony tracy trevor",
    "tyler ulrich ursula valerie vanessa vera vernon veronica victor victoria vincent virginia vladimir walter wanda warren wayne",
    "wendy wilhelm william winifred wolfgang xavier yolanda yusuf yvonne zachary zoe",
)
#: Given names that are words, too: names only before another unknown word, an initial, or behind a title or role.
GIVEN_OR_WORD = _words(
    "angel april art august autumn bill buck carol chase christian chuck cliff crystal dale dean dick don drew earl ernie faith",
    "frank gene ginger glen grace grant guy hazel heath holly hope hunter iris ivy jack joy june lance mark may mercy miles nick",
    "olive pat patience penny pearl ray rich rob rod rose ruby rusty sandy sonny sue summer violet will wade jordan chad israel",
    "jan paris austin dallas charity melody misty destiny victor dolly robin",
)

#: Given names that are ordinary words when they are written small.
GIVEN_IN_SMALL = _words(
    "amber dawn max jay daisy lily jasmine jean stella victor victoria maria norma nick lance ali ben sam tim leo amelia rob ross lee mia nina vera eva ava ella kay van don jesus jack jill dolores marco celeste angel florence georgia carmen pat otto ray luna sierra"
)

#: Months and days: parts of dates, which stay.
CALENDAR = _words(
    "january february march april may june july august september october november december jan feb mar apr jun jul aug sep sept",
    "oct nov dec monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun christmas",
    "easter thanksgiving halloween",
)
#: Countries and their people: a country is no address.
COUNTRIES = _words(
    "america american canada canadian mexico mexican britain british uk england english scotland scottish wales welsh ireland",
    "irish france french germany german austria austrian switzerland swiss italy italian spain spanish portugal portuguese",
    "netherlands dutch belgium belgian denmark danish sweden swedish norway norwegian finland finnish poland polish greece greek",
    "turkey turkish russia russian ukraine ukrainian china chinese japan japanese korea korean india indian pakistan brazil",
    "brazilian argentina chile colombia peru australia australian zealand africa african nigeria kenya egypt asia asian europe",
    "european hispanic caucasian latino usa us eu united states kingdom",
)
#: What medicine writes with a capital and nobody bears: organisms, scales, agencies, and eponyms in the genitive.
MEDICAL = _words(
    "crohn's parkinson's alzheimer's hodgkin's hashimoto's graves' raynaud's addison's cushing's sjogren's sjögren's meniere's",
    "ménière's tourette's huntington's down's reye's nikolsky's torsades pointes naranjo apgar glasgow takotsubo brugada",
    "staphylococcus streptococcus escherichia candida clostridium helicobacter salmonella pseudomonas aspergillus herpes varicella",
    "covid sars influenza pfizer moderna novartis sanofi merck bayer roche medwatch vaers meddra eudravigilance icsr yellow card",
    "medicare medicaid caesarean cesarean celsius fahrenheit doppler holter coombs elisa gram hemoccult western blot rh igg igm",
    "hep td epi am pm palsy toxoid haemophilus pred phenobarb multiple scan antigen dosepak hib-titer multi wbc nsaid",
    "karnofsky ecog nyha fitzpatrick epworth nikolsky babinski romberg",
)
#: Family names that diseases and signs bear: theirs before a word of `CLINICAL_NEXT`, a person's everywhere else.
EPONYMS = _words(
    "guillain barre barré stevens johnson crohn parkinson alzheimer hodgkin hashimoto graves bell kawasaki raynaud addison cushing",
    "lyell reye sjogren sjögren quincke meniere ménière henoch schonlein schönlein tourette wilson wolff white hoffmann kussmaul",
    "down turner marfan huntington wernicke korsakoff budd chiari miller fisher lambert eaton koplik osler janeway child pugh tanner",
    "bristol zollinger epstein ellison gilbert rotor dubin behcet behçet still castleman churg strauss goodpasture sweet fournier",
)

#: Medicinal products that a text may name beside those of the case. Endings tell the rest.
PRODUCTS = _words(
    "aspirin tylenol advil motrin aleve benadryl paracetamol acetaminophen ibuprofen naproxen warfarin heparin insulin lantus",
    "humalog metformin lithium digoxin epipen epinephrine adrenaline prednisone prednisolone methylprednisolone solumedrol medrol",
    "decadron dexamethasone hydrocortisone benadryl claritin zyrtec allegra zantac pepcid nexium prilosec lipitor crestor zocor",
    "plavix xarelto eliquis coumadin synthroid levothyroxine lasix furosemide tegretol dilantin depakote keppra lamictal valium",
    "xanax ativan prozac zoloft lexapro celexa paxil wellbutrin seroquel risperdal zyprexa abilify ritalin adderall viagra cialis",
    "humira enbrel remicade keytruda opdivo herceptin avastin rituxan ozempic wegovy mounjaro trulicity victoza januvia jardiance",
    "farxiga botox singulair advair ventolin albuterol salbutamol spiriva flonase augmentin zithromax cipro bactrim keflex",
    "fluzone prevnar gardasil shingrix zostavax havrix engerix recombivax pediarix pentacel boostrix adacel comirnaty spikevax",
    "mmr mmrii dtp dtap tdap opv ipv hib rabavert menactra pneumovax varivax tetanus morphine codeine oxycodone tramadol fentanyl",
    "methotrexate cyclosporine tacrolimus clozapine clozaril haldol phenytoin diazepam midazolam ketamine propofol",
)
PRODUCT_ENDINGS = (
    "cillin", "mycin", "micin", "cycline", "oxacin", "azole", "statin", "pril", "sartan", "olol", "dipine", "tinib", "zumab",
    "ximab", "mumab", "mab", "vir", "virine", "prazole", "tidine", "caine", "azepam", "azolam", "oxetine", "triptan", "gliptin",
    "gliflozin", "glutide", "parin", "xaban", "gatran", "platin", "rubicin", "taxel", "terol", "sone", "solone", "onide",
    "thiazide", "semide", "profen", "coxib", "setron", "dronate", "floxacin", "fenac", "barbital", "vax", "rix", "azine",
    "irizine", "idine", "adine", "amine", "tyline", "pramine",
    "formin", "glinide", "zide", "amide", "idone", "apine", "tropium", "fibrate", "grel", "cept", "kinra", "poetin", "grastim",
    "ciclib", "parib", "rafenib", "zomib", "phylline", "thyroxine",
)  # fmt: skip

#: Before a single capital: one of a kind, no initial.
LETTERED = _words(
    "vitamin vitamins hepatitis hep type grade group factor class influenza protein stage lot batch arm cohort part phase immunoglobulin strain bacillus"
)

#: Abbreviations of two to four capitals behind "patient" that are no initials.
ABBREVIATIONS = _words(
    "er ed icu iv im po sc hiv ecg ekg eeg mri ct cbc wbc rbc bp hr bmi copd ards sjs ten ms mr dvt pe mi uti gi ent ob gyn gp",
    "md rn do np pa phd us uk eu fda ema mah hcp id cxr csf pcr alt ast ldh crp esr inr ptt pt hx rx dx tx sx bid tid qid prn sob",
    "cp ha loc nos nec lot hpv hbv hcv rsv flu mmr dtp dtap opv ipv hib td tdap ldl hdl tsh ige iga igm igg nsaid ssri cns cpr",
    "dna rna tia cva chf cad bph ibd ibs ra sle itp ttp aki ckd esrd ivig sae ae adr susar icsr po box am pm na ii iii iv vi",
)

#: Ordinary words that begin sentences, headings and lists with a capital.
COMMON = _words(
    "a an the this that these those he she it they we i you his her hers its their our my your who whom whose which what when",
    "where why how there here and or but if then than as at by for from in into of off on onto out over per since to under until",
    "up upon via with within without after again all also although among any are around because been before being below between",
    "both can could did do does done down due during each either else even every few first second third fourth fifth last next",
    "further had has have however is just later least less like many more most much must neither never no none nor not nothing now",
    "once one only other otherwise own same should so some still such that's too two three four five six seven eight nine ten very",
    "was were while will would yes yet able about above according additional additionally concerning despite except following",
    "given initially instead meanwhile nevertheless please prior regarding she's he's i'm it's i've i'd didn't don't wasn't couldn't",
    "unknown none nil n/a not unspecified same overnight today yesterday tomorrow morning afternoon evening night day days week",
    "weeks month months year years hour hours minute minutes time date dose doses dosage route lot batch number no type grade stage",
    "class group phase part page section case report reports follow followup follow-up initial information source narrative summary",
    "history past medical family social present illness current chief complaint assessment plan impression diagnosis diagnoses",
    "diagnosed treatment therapy course outcome event events reaction reactions adverse serious seriousness causality related",
    "unrelated possible probable suspect suspected concomitant medication medications medicine medicines drug drugs product products",
    "vaccine vaccines vaccination immunization injection tablet tablets capsule capsules infusion cream ointment inhaler device",
    "patient patients pt pts male female man woman boy girl child baby infant mother father parent consumer reporter caller",
    "physician doctor nurse pharmacist midwife hospital clinic emergency department room ward unit intensive care center centre",
    "laboratory lab labs test tests results result blood pressure heart rate pulse temperature temp weight height vital signs urine",
    "serum liver kidney renal hepatic cardiac skin rash fever pain headache nausea vomiting dizziness swelling redness itching hives",
    "cough fatigue death died fatal seizure seizures syncope anaphylaxis allergy allergies allergic injection-site left right upper",
    "lower arm leg deltoid thigh chest head neck back abdomen abdominal face eye eyes mouth throat known unknown name age sex race",
    "born address phone telephone fax email e-mail website contact reference record chart file insurance member policy account",
    "license licence serial passport street road avenue city state country zip postcode monday company manufacturer sender sponsor",
    "study trial protocol site subject investigator safety agency authority note notes see seen also ongoing recovered recovering",
    "resolved improved worsened stable mild moderate severe positive negative normal abnormal high low increased decreased elevated",
    "mg mcg ml kg cm mm mmol iu units unit percent times daily twice weekly monthly oral orally intravenous subcutaneous topical",
    "subj obj exam examination physical neuro neurological psych psychiatric gi gu cv resp hx pmh pmhx rx dx tx sx hpi ros",
    "discharge discharged admission admitted hospitalized hospitalised transferred treated received took taken started stopped",
    "pregnancy pregnant delivery gestation newborn neonate premature caesarean batch expiry consent system user tool assistant",
    "dear sincerely regards thank thanks yours best kind signed re fw fwd subject: attention attn",
    "spouse husband wife son daughter brother sister sibling sibs grandmother aunt uncle friend neighbour neighbor nobody someone",
    "everyone anyone staff team service office school home work house street county district region area local regional national",
    "general university college public health medical community memorial children's children women's women veterans royal",
    "nursing surgery surgical dental pharmacy infirmary institute foundation church police fire insurance internal external",
    "chief senior junior head attending consulting primary secondary tertiary rehabilitation hospice outpatient inpatient day-care",
    "call called calls spoke told asked stated said says reported confirmed denied mentioned noted observed advised recommended",
    "wrote writes written sent letter message web online internet form box field data text ignore instructions instruction",
    "mail post code viral bacterial who-umc fungal labs platelets creatinine albumin bilirubin sodium potassium calcium glucose troponin ferritin troponins haemoglobin hemoglobin",
    "biopsy x-ray xray mri ct ultrasound culture cultures throat ear ears nose lungs lung brain spine legs arms hand hands foot feet",
    "knee joint joints muscle muscles wound lesion lesions lump nodule bruise bruising chills sweats sweating shock collapse coma stroke",
    "asthma diabetes hypertension cancer tumour tumor sepsis oedema edema vertigo tremor ataxia jaundice ulcer angioedema urticaria",
    "eczema psoriasis dyspnoea dyspnea wheeze wheezing hoarse lethargy malaise weak weakness numb numbness tingling stiff sore tender",
    "diarrhoea diarrhea constipation rechallenge dechallenge onset lasted began begin started within almost approx approximately over",
    "pictures photo photos implant pump identity form forms thanks letters others someone somebody nothing everything anything sometimes",
    "maybe perhaps rather quite really suddenly soon then therefore thus hence whereas whether despite besides along across around",
    "let us may might need needs want wants get gets got go goes going came come make made keep kept give gives put see saw think know",
    "mild small large big little long short old young new good bad better worse best worst same different similar several various",
    "bp hr rr o2 sat iv po im prn hs qd bid tid qid s/p w/o yo y/o f/u hosp dx'd tx'd onset's vax vaxed recvd rec'd rptd exp devel",
    "rpt inj admin adm sxs temps vomit felt feel seems seem appeared appears looks look taken taking given giving being having doing",
    "alcohol tobacco smoker smoking caffeine food milk egg peanut penicillin latex pollen dust cat dog bee wasp",
)
#: Ends of words that are hardly names: at the beginning of a sentence they are taken for what they say.
ORDINARY_ENDINGS = (
    "ly", "ing", "ed", "tion", "sion", "ment", "ness", "itis", "osis", "emia", "aemia", "pathy", "algia", "ology", "gram", "scopy",
    "ectomy", "uria", "penia", "oea", "rrhea", "ous", "ive", "able", "ible", "ity", "ism", "oma", "ance", "ence", "ies", "ses",
    "ical", "ial", "nal", "tic", "tory", "ary", "ure", "ers", "ine", "ase", "globin", "cytes", "phils", "ia", "sis", "ts", "gy",
    "pain", "ache", "ful", "less", "ward", "wards", "ever", "one", "thing", "body", "self",
)  # fmt: skip
#: Behind an unknown word at the beginning of a sentence: somebody who says or does something.
SPEAKS = _words(
    "said says stated states told tells called calls phoned rang wrote writes emailed mentioned explained reported reports",
    "confirmed denied denies believes believed thinks thought felt feels noticed complained lives lived works worked resides went",
    "saw visited drove woke fell took takes asked recalled remembers insisted added claims claimed faxed texted answered and",
)
#: Before an unknown word: it is a product that is taken or given.
TAKEN = _words(
    "took taking taken takes take received receiving receives receive administered administering dose doses dosing started starting",
    "starts stopped stopping discontinued discontinuing restarted resumed prescribed tablet tablets capsule capsules injection",
    "injections infusion drug medication product suspect vaccine brand generic batch swallowed ingested injected applied using used",
    "tapered increased decreased reduced withheld rechallenged rechallenge dechallenge vial vials ampoule bottle ml mg mcg inhaled",
)
#: "of", "with" and the like carry the meaning of the word before them on.
CARRIES = _words(
    "of with the a an her his their oral intravenous iv po on generic brand first second third last daily"
)
#: Behind an unknown word: it is a product, a disease or a finding.
CLINICAL_NEXT = _words(
    "mg mcg ml g iu units unit tablet tablets capsule capsules injection injections vaccine vaccination vaccinations therapy",
    "treatment infusion cream ointment gel patch patches inhaler spray drops syrup suspension dose doses dosing syndrome disease",
    "palsy sign phenomenon score scale test virus criteria classification strain infection toxicity lot batch pen vial pill pills",
    "stain antigen antibody titre titer fever oedema edema encephalopathy contracture lesion node fracture device pump stent",
    "wort purpura nodes spots coma disorder class wave shock thyroiditis purpura lymphoma anaemia anemia",
)
