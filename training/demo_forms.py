"""How people ask: question forms, openers, closers and typing mistakes. Pure text, driven by a random generator.

A form is a whole wording with a slot; {np} is a name as people say it ("a mutex"), {bare} the same without its article.
Forms are grouped by family so that whole families can be held out: people ask in ways nobody wrote down.
"""

from __future__ import annotations

import random
import re

DEFINITION_FORMS: dict[str, tuple[str, ...]] = {
    "what": (
        "what is {np}",
        "what's {np}",
        "whats {np}",
        "what are {np}",
        "what is {np} exactly",
        "what exactly is {np}",
        "what even is {np}",
        "what is meant by {np}",
        "what is {bare} in programming",
        "wat is {np}",
        "What is {np} and what does it do",
        "what on earth is {np}",
        "so what is {np}",
        "and what is {np}",
        "what was {np} again",
        "what is this {bare} thing",
        "what is a {bare}",
        "what kind of thing is {np}",
        "what would you call {np}",
        "what do you know about {np}",
    ),
    "mean": (
        "what does {bare} mean",
        "what do people mean by {np}",
        "meaning of {bare}",
        "the meaning of {bare}",
        "{bare} meaning",
        "what is the meaning of {bare}",
        "what does the word {bare} mean",
        "what do you mean by {np}",
        "what does it mean when people say {bare}",
        "what does {bare} stand for",
    ),
    "explain": (
        "explain {np}",
        "explain {np} to me",
        "explain what {np} is",
        "can you explain {np}",
        "could you explain {bare} to me",
        "please explain {np}",
        "would you explain {np} in simple words",
        "explain {bare} like i'm five",
        "explain {np} to a beginner",
        "eli5 {bare}",
        "i need someone to explain {np}",
        "someone explain {np}",
        "{bare} pls explain",
        "{bare} explained",
        "how would you explain {np} to a kid",
    ),
    "tell": (
        "tell me about {np}",
        "tell me what {np} is",
        "tell me something about {bare}",
        "can you tell me what {np} is",
        "talk to me about {bare}",
        "give me a short intro to {bare}",
        "give me the basics of {bare}",
        "teach me {bare}",
        "teach me about {np}",
        "introduce me to {bare}",
        "i want to hear about {np}",
        "say something about {np}",
        "brief me on {bare}",
    ),
    "define": (
        "define {np}",
        "define {bare}",
        "definition of {np}",
        "{bare} definition",
        "give me a definition of {bare}",
        "describe {np}",
        "describe what {np} is",
        "describe {bare} in one sentence",
        "summarise {bare}",
        "sum up {np} for me",
        "how do you define {np}",
        "how would you describe {np}",
        "what's a good definition for {bare}",
        "one sentence on {bare}",
    ),
    "bare": (
        "{bare}",
        "{bare}?",
        "{np}",
        "{np}?",
        "{bare}??",
        "{bare} 101",
        "{bare} basics",
        "{bare} for beginners",
        "{bare} in simple terms",
        "{bare} in a nutshell",
        "{bare} please",
        "{bare}!",
        "on {bare}",
        "about {np}",
        "{bare}...",
    ),
    "subject_first": (
        "{bare}, what is that",
        "{bare} - what is it",
        "{bare}: what does it do",
        "{bare}. how does it work",
        "{bare}, how does that work",
        "{np}, what is it for",
        "{bare} what is that even",
        "{np} is what exactly",
        "{np}... what is that",
        "{bare}, explain",
        "{bare} -> what?",
        "{bare}, i don't get it",
        "{bare}: what's that",
        "so {np}, what about it",
        "{bare}, why does it exist",
    ),
    "heard": (
        "i keep hearing about {np}, what is it",
        "my teacher talked about {np} and i didn't understand",
        "my colleague said {bare} and i nodded, what is it",
        "i read about {np} today and did not get it",
        "someone mentioned {np}. what is that",
        "everybody talks about {np}",
        "they asked me about {np} in an interview",
        "a friend told me to look up {bare}",
        "the docs mention {np} but don't explain it",
        "i saw {bare} in some code, what is it",
        "my boss wants {np}, what is that",
        "the error talks about {np}",
        "there is a chapter on {bare} in my book",
        "i forgot what {np} is",
        "i have an exam on {bare}",
    ),
    "unsure": (
        "i don't understand {np}",
        "i don't know what {np} is",
        "not sure what {np} is",
        "i'm confused about {np}",
        "i never got {bare}",
        "help me understand {np}",
        "i struggle with {bare}",
        "do you know what {np} is",
        "any idea what {np} is",
        "i'd like to understand {bare}",
        "i always mix up what {np} is",
        "can you help me with {np}",
        "help with {bare}",
        "i have a question about {np}",
        "i wonder what {np} is",
        "{bare} confuses me",
        "{bare} makes no sense to me",
    ),
    "work": (
        "how does {np} work",
        "how do {np} work",
        "how {np} works",
        "how does {bare} actually work",
        "how does {np} work under the hood",
        "what happens with {np}",
        "what does {np} do",
        "what do {np} do",
        "what does {np} actually do",
        "what is the idea behind {np}",
        "what's the idea of {bare}",
        "what's the deal with {np}",
        "how is {np} used",
        "how do i use {np}",
        "how do people use {bare}",
        "show me how {np} works",
        "what is the concept of {bare}",
    ),
    "property": (
        "is {np} important",
        "is {np} hard to understand",
        "is {bare} a good thing",
        "what is special about {np}",
        "what are the main points of {bare}",
        "what should i know about {np}",
        "what do i need to know about {bare}",
        "what's important about {np}",
        "who uses {np}",
        "where do i find {np}",
        "where is {np} used",
        "where would i see {np}",
        "does every programmer know {bare}",
        "should i learn {bare}",
        "should i care about {np}",
        "can you break down {bare}",
        "facts about {bare}",
        "key facts on {np}",
        "what makes {np} what it is",
    ),
}

WHY_FORMS: dict[str, tuple[str, ...]] = {
    "why": (
        "why {np}",
        "why do i need {np}",
        "why would i need {np}",
        "why would i use {np}",
        "why do people use {np}",
        "why use {bare}",
        "why is {bare} useful",
        "why does {bare} matter",
        "why should i care about {np}",
        "why do we have {np}",
        "why even bother with {bare}",
        "why is {np} important",
    ),
    "purpose": (
        "what is {np} for",
        "what is {np} good for",
        "what is {bare} used for",
        "what are {np} used for",
        "what is the point of {np}",
        "what's the point of {bare}",
        "what is the purpose of {np}",
        "purpose of {bare}",
        "what is the use of {bare}",
        "what's the benefit of {np}",
        "advantages of {bare}",
        "what problem does {np} solve",
        "what do i gain from {np}",
        "when do i need {np}",
        "when would i use {np}",
        "when should i use {np}",
        "when to use {bare}",
        "{bare} - when and why",
    ),
}

EXAMPLE_FORMS: dict[str, tuple[str, ...]] = {
    "example": (
        "give me an example of {np}",
        "an example of {np}",
        "example of {bare}",
        "{bare} example",
        "{bare} example please",
        "show me an example of {np}",
        "show me {np}",
        "can you show an example of {bare}",
        "what is an example of {np}",
        "what would be an example of {bare}",
        "what does {np} look like",
        "i need an example for {bare}",
        "got an example of {np}",
        "for example {np}?",
        "how does {np} look in practice",
    ),
}

OPPOSITE_FORMS: dict[str, tuple[str, ...]] = {
    "opposite": (
        "what is the opposite of {np}",
        "what's the opposite of {bare}",
        "opposite of {bare}",
        "the opposite of {np}",
        "what is the counterpart of {np}",
        "what would be the opposite of {np}",
    ),
}

CONTRAST_FORMS = (
    "what is the difference between {a} and {b}",
    "what's the difference between {a} and {b}",
    "difference between {a} and {b}",
    "{a} vs {b}",
    "{a} versus {b}",
    "{a} or {b}",
    "{a} or {b}?",
    "how does {a} differ from {b}",
    "how is {a} different from {b}",
    "compare {a} and {b}",
    "compare {a} with {b}",
    "when do i use {a} and when {b}",
    "is {a} the same as {b}",
    "are {a} and {b} the same",
    "should i use {a} or {b}",
    "what is better, {a} or {b}",
    "explain {a} versus {b}",
    "{a} and {b}, what's the difference",
    "i mix up {a} and {b}",
)

FOLLOW_UPS: dict[str, tuple[str, ...]] = {
    "again": (
        "explain that again",
        "explain again",
        "again please",
        "can you explain that again",
        "can you say that again",
        "say that differently",
        "in other words?",
        "in simpler words",
        "simpler please",
        "make it simpler",
        "i don't get it",
        "i did not get that",
        "i still don't understand",
        "huh?",
        "what?",
        "what do you mean",
        "can you rephrase that",
        "once more please",
        "sorry, one more time",
        "eli5",
        "explain it like i'm five",
        "too complicated",
        "that went over my head",
        "could you put it another way",
        "come again?",
        "not clear",
        "too hard, easier please",
        "repeat that in simple words",
        "what does that mean",
        "hm i don't follow",
    ),
    "example": (
        "give me an example",
        "example?",
        "example please",
        "an example please",
        "for example?",
        "can you give me an example",
        "can you give an example of that",
        "show me an example",
        "show me",
        "do you have an example",
        "such as?",
        "like what?",
        "like?",
        "any example?",
        "how does that look",
        "what does that look like",
        "how would that look in code",
        "in practice?",
        "got an example",
        "one example maybe",
        "can i see one",
        "could you show me how that looks",
        "e.g.?",
    ),
    "why": (
        "why?",
        "why",
        "but why",
        "but why?",
        "why is that",
        "why would i need that",
        "why do i need that",
        "why should i care",
        "why does it matter",
        "why is that useful",
        "what for?",
        "what is it for",
        "what is that good for",
        "what's the point",
        "and why would i use it",
        "why would anyone use it",
        "when would i use that",
        "when do i need it",
        "and that is useful because?",
        "ok but why",
        "how come",
        "whats it used for",
        "what do i need it for",
    ),
    "opposite": (
        "and what is the opposite?",
        "what is the opposite",
        "what's the opposite?",
        "and the opposite?",
        "the opposite?",
        "opposite?",
        "what would be the opposite",
        "is there an opposite",
        "does it have an opposite",
        "and the opposite of that?",
        "what is the opposite of that",
        "what is the contrary",
        "and the counterpart?",
    ),
}

OPENERS = (
    "hi, ", "hi ", "hey, ", "hey ", "hello, ", "hello! ", "hi there, ", "hey there! ", "good morning, ", "yo ", "yo, ",
    "ok so ", "ok, ", "so ", "um, ", "well, ", "alright, ", "quick question: ", "quick q: ", "question: ", "dumb question but ",
    "sorry, ", "sorry for the stupid question, ", "please ", "pls ", "hey bot, ", "hi bot ", "dear bot, ", "hey can you help? ",
    "one thing: ", "another one: ", "next: ", "now ", "and ", "btw ", "i'm new to coding. ", "i am a beginner, ", "hm ", "hmm, ",
    "hey buddy ", "hiya, ", "good evening. ", "help! ", "by the way, ", "actually, ", "wait, ", "thanks! ", "cool. ", "right, ",
    "@bot ", "👋 ", "lol ", "hi all, ", "excuse me, ", "can i ask something? ", "let me ask: ", "oh, ", "yeah ", "ok next one: ",
)
CLOSERS = (
    "?", "?", "?", "?", "?", "?", "??", ".", "!", " please", " please?", " pls", " thanks", ", thanks!", " thx", ", thank you", " lol",
    " tho", " in simple words", " in simple terms", " for a beginner", " for dummies", " in one sentence", " briefly", " quickly",
    ", i have an exam tomorrow", ", i'm new here", " again", " in programming", " in coding", " in software", " exactly", " really",
    " anyway", ", any idea?", " :)", " in short", ", keep it short", ", i forgot", " in computer science", ", be brief", " man", " bro",
    " 🙂", " 🙏", " 🤔", "?!", "...", " ?", " (short answer)", ", in your own words", ", please explain", " if you know", ", asking for a friend",
)  # fmt: skip
SLOPPY_WORDS = {
    "you": ("u", "yu"),
    "are": ("r",),
    "please": ("plz", "pls", "plese"),
    "what": ("wat", "waht", "wht"),
    "the": ("teh", "th"),
    "because": ("bc", "cuz"),
    "explain": ("explian", "explan", "xplain"),
    "difference": ("diffrence", "diff", "differnce"),
    "example": ("exmaple", "exampel"),
    "does": ("dose", "dos"),
    "between": ("betwen", "btw"),
    "don't": ("dont",),
    "i'm": ("im", "i am"),
    "what's": ("whats", "wats"),
    "to": ("2",),
    "for": ("4",),
    "and": ("&", "n"),
    "know": ("kno",),
    "understand": ("understnad", "undrstand"),
}
_ARTICLE = re.compile(r"^(?:an?|the)\s+", re.IGNORECASE)
_NEIGHBOURS = {
    "a": "sq", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "f": "dg", "g": "fh", "h": "gj", "i": "uo", "j": "hk", "k": "jl",
    "l": "k", "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb",
    "w": "qe", "x": "zc", "y": "tu", "z": "x",
}  # fmt: skip


def fill(form: str, name: str) -> str:
    """Put a name into a form."""
    return form.format(np=name, bare=_ARTICLE.sub("", name))


def dress(rng: random.Random, question: str) -> str:
    """Wrap a bare question as a person would send it: opener, closer, case, typing mistakes."""
    text = question
    if rng.random() < 0.28:
        text = rng.choice(OPENERS) + text
    if rng.random() < 0.55 and text[-1] not in "?!.":
        text += rng.choice(CLOSERS)
    text = _mistype(rng, text) if rng.random() < 0.3 else text
    return _recase(rng, text)


def _recase(rng: random.Random, text: str) -> str:
    draw = rng.random()
    if draw < 0.40:
        return text.lower()
    if draw < 0.80:
        return text[0].upper() + text[1:]
    if draw < 0.86:
        return text.upper()
    if draw < 0.92:
        return text.title()
    return text


def _mistype(rng: random.Random, text: str) -> str:
    words = text.split(" ")
    for _ in range(1 if len(words) < 6 else rng.choice((1, 1, 2))):
        i = rng.randrange(len(words))
        sloppy = SLOPPY_WORDS.get(words[i].lower())
        words[i] = rng.choice(sloppy) if sloppy and rng.random() < 0.7 else misspell(rng, words[i])
    return " ".join(words)


def misspell(rng: random.Random, word: str) -> str:
    """One slip of the finger in a word of four letters or more: swap, drop, double, or a neighbouring key."""
    letters = [i for i, char in enumerate(word) if char.isalpha()]
    if len(letters) < 4:
        return word
    i = rng.choice(letters[1:-1])
    kind = rng.randrange(4)
    if kind == 0:
        return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    if kind == 1:
        return word[:i] + word[i + 1 :]
    if kind == 2:
        return word[:i] + word[i] + word[i:]
    near = rng.choice(_NEIGHBOURS.get(word[i].lower(), "e"))
    return word[:i] + near + word[i + 1 :]


_ONSETS = "b bl br c ch cl cr d dr f fl fr g gl gr h j k l m n p pl pr qu r s sc sh sk sl sn sp st str t th tr v w y z".split()
_VOWELS = "a e i o u ai ea ee io oa oo ou".split()
_CODAS = "b ck d ff ft g k l ll lt m mp n nd ng nk nt p r rd rk rm rn rt s sh sk ss st t th x zz".split() + [""] * 12
_ENDINGS = "er ing tion ity ism ly ed ous ium ade ette ics ology ware ist ment ness ix ara ino ello".split() + [""] * 20


def invent_word(rng: random.Random) -> str:
    """A word that sounds English and means nothing: what an unknown noun looks like to the model."""
    syllables = rng.choice((1, 2, 2, 3))
    stem = "".join(rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(syllables))
    return stem + rng.choice(_ENDINGS)
