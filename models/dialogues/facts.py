"""Small facts: capitals, opposites, days, months, animals, colours, counting."""

from collections.abc import Mapping
from random import Random

from models.dialogues.arithmetic import WORDS
from models.dialogues.topic import Filling, Topic

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris Germany:Berlin Italy:Rome Spain:Madrid Japan:Tokyo China:Beijing Egypt:Cairo Canada:Ottawa Norway:Oslo Sweden:Stockholm Poland:Warsaw Greece:Athens "
        "Portugal:Lisbon Austria:Vienna Ireland:Dublin Denmark:Copenhagen Finland:Helsinki Kenya:Nairobi Peru:Lima Cuba:Havana Brazil:Brasilia Russia:Moscow Turkey:Ankara "
        "Belgium:Brussels Hungary:Budapest Chile:Santiago Thailand:Bangkok Iceland:Reykjavik Australia:Canberra Switzerland:Bern England:London Ukraine:Kyiv Romania:Bucharest "
        "Croatia:Zagreb Morocco:Rabat Ghana:Accra Vietnam:Hanoi Indonesia:Jakarta Colombia:Bogota Iran:Tehran Iraq:Baghdad Tunisia:Tunis Latvia:Riga Nepal:Kathmandu"
    ).split()
) | {"India": "New Delhi", "Mexico": "Mexico City", "Argentina": "Buenos Aires", "the Netherlands": "Amsterdam", "the United States": "Washington", "South Korea": "Seoul", "New Zealand": "Wellington", "the United Kingdom": "London"}
LOCATED = {city: land for land, city in CAPITALS.items() if land != "the United Kingdom"}
DAYS = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MONTHS = tuple("January February March April May June July August September October November December".split())
OPPOSITES = dict(
    pair.split(":")
    for pair in (
        "hot:cold big:small fast:slow up:down open:closed light:dark happy:sad early:late full:empty new:old hard:soft high:low good:bad rich:poor strong:weak long:short "
        "wet:dry clean:dirty near:far left:right inside:outside day:night true:false love:hate win:lose begin:end young:aged thick:thin loud:quiet sweet:sour "
        "first:last always:never wide:narrow heavy:weightless north:south east:west buy:sell push:pull asleep:awake"
    ).split()
)
COLOURS = {
    "grass": "green", "the sky": "blue", "snow": "white", "coal": "black", "the sun": "yellow", "a banana": "yellow", "blood": "red", "a tomato": "red", "a lemon": "yellow", "the sea": "blue",
    "chocolate": "brown", "milk": "white", "a carrot": "orange", "an orange": "orange", "a leaf": "green", "gold": "yellow", "a flamingo": "pink", "an elephant": "grey", "a strawberry": "red", "night": "black",
}
ANIMALS = {
    "dog": "a loyal animal that likes to play and guards the house", "cat": "a small animal that likes to sleep and hunts mice", "horse": "a strong animal that runs fast and eats grass",
    "whale": "a very large animal that lives in the sea and breathes air", "owl": "a bird that hunts at night and sees well in the dark", "bee": "an insect that visits flowers and makes honey",
    "frog": "a small animal that jumps and lives near water", "spider": "an animal with eight legs that spins a web", "cow": "a large animal that eats grass and gives milk",
    "sheep": "a gentle animal with a coat of wool", "pig": "a clever animal that likes to roll in mud", "duck": "a bird that swims and has a flat beak", "fox": "a clever wild animal with a red coat and a long tail",
    "wolf": "a wild animal that lives and hunts in a pack", "bear": "a large wild animal that sleeps through the winter", "lion": "a big cat with a loud roar", "tiger": "a big cat with black stripes",
    "elephant": "a very large animal with a trunk and big ears", "mouse": "a tiny animal with a long tail that likes to nibble", "rabbit": "a small animal with long ears that hops",
    "snake": "a long animal without legs", "fish": "an animal that lives in water and breathes with gills", "penguin": "a bird that cannot fly but swims very well", "ant": "a tiny insect that works with many others",
    "turtle": "a slow animal that carries its house on its back", "eagle": "a large bird with sharp eyes that flies very high", "monkey": "a clever animal that climbs trees", "shark": "a big fish with many sharp teeth",
    "chicken": "a bird that lays eggs", "goat": "an animal with horns that climbs well", "dolphin": "a clever animal that lives in the sea and jumps out of the water", "crocodile": "a large animal with big teeth that waits in rivers",
}
AMOUNTS = {
    "days are in a week": "There are 7 days in a week.", "months are in a year": "There are 12 months in a year.", "hours are in a day": "There are 24 hours in a day.",
    "minutes are in an hour": "There are 60 minutes in an hour.", "seconds are in a minute": "There are 60 seconds in a minute.", "days are in a year": "There are 365 days in a year.",
    "legs does a spider have": "A spider has 8 legs.", "legs does a dog have": "A dog has 4 legs.", "legs does an insect have": "An insect has 6 legs.", "wheels does a car have": "A car has 4 wheels.",
    "wheels does a bicycle have": "A bicycle has 2 wheels.", "letters are in the alphabet": "There are 26 letters in the alphabet.", "seasons are there": "There are 4 seasons: spring, summer, autumn and winter.",
    "fingers does a hand have": "A hand has 5 fingers.", "planets are there": "There are 8 planets around the sun.", "weeks are in a year": "There are 52 weeks in a year.",
}  # fmt: skip


def _shape(values: Mapping[str, str] | tuple[str, ...]) -> str:
    return "(?:" + "|".join(values) + ")"


def _capital(rng: Random) -> Filling:
    land = rng.choice(tuple(CAPITALS))
    return {"land": land, "city": CAPITALS[land], "bare": land.removeprefix("the ")}


def _located(rng: Random) -> Filling:
    city = rng.choice(tuple(LOCATED))
    return {"city": city, "land": LOCATED[city]}


def _opposite(rng: Random) -> Filling:
    pair = list(rng.choice(tuple(OPPOSITES.items())))
    if pair[1] not in ("aged", "weightless"):
        rng.shuffle(pair)
    return {"word": pair[0], "other": pair[1]}


def _neighbour(cycle: tuple[str, ...], rng: Random) -> Filling:
    at = rng.randrange(len(cycle))
    return {"here": cycle[at], "after": cycle[(at + 1) % len(cycle)], "before": cycle[at - 1]}


def _animal(rng: Random) -> Filling:
    animal = rng.choice(tuple(ANIMALS))
    article = "an" if animal[0] in "aeiou" else "a"
    return {"a": article, "animal": animal, "A": article.capitalize(), "what": ANIMALS[animal]}


def _colour(rng: Random) -> Filling:
    thing = rng.choice(tuple(COLOURS))
    return {"thing": thing, "colour": COLOURS[thing], "Thing": thing[0].upper() + thing[1:]}


def _count(rng: Random) -> Filling:
    top = rng.randint(2, 30)
    shown = WORDS[top] if top < len(WORDS) and rng.random() < 0.3 else str(top)
    return {"top": shown, "numbers": ", ".join(str(number) for number in range(1, top + 1))}


def _down(rng: Random) -> Filling:
    top = rng.randint(2, 20)
    return {"top": str(top), "numbers": ", ".join(str(number) for number in range(top, 0, -1))}


def _amount(key: str, answer: str) -> Topic:
    questions = (
        f"how many {key}",
        f"how many {key}",
        f"(do you know|tell me|can you tell me|could you tell me) how many {key}",
        f"i wonder how many {key}",
        f"what is the number: how many {key}",
    )
    return Topic("facts.amount_" + key.replace(" ", "_"), questions, (answer,), share=0.3)


_CAPITAL = (
    "(what is|what's|whats) the capital [city] of {land}", "(which|what) city is the capital of {land}", "name the capital of {land}", "[the] capital of {land}", "{land} capital", "tell me the capital of {land}", "(can|could) you (tell me|name) the capital of {land}",
    "do you know the capital of {land}", "what is {land}'s capital [city]", "{land}'s capital", "give me the capital of {land}", "what about the capital of {land}", "(and|what about) {land}'s capital", "what capital does {land} have", "i need the capital of {land}", "capital city of {land}",
    "which is the capital of {land}", "where is the government of {land}",
)
_LOCATED = (
    "where is {city}", "in which country is {city}", "{city} is the capital of which country", "which country has the capital {city}", "(what|which) country is {city} in", "(what|which) is {city} the capital of", "where (do i find|can i find|is) {city} [located]",
    "tell me where {city} is", "what do you know about {city}", "tell me about {city}", "do you know {city}", "what is {city}", "of which country is {city} the capital",
)
_OPPOSITE = (
    "(what is|what's|whats) the opposite of {word}", "[the] opposite of {word}", "(tell me|give me|name) the opposite of {word}", "what is the contrary of {word}", "do you know the opposite of {word}", "(can|could) you (tell me|name|say) the opposite of {word}", "which word is the opposite of {word}",
    "{word} is the opposite of what", "if it is not {word}, what is it", "what about the opposite of {word}", "the reverse of {word}", "(what is|give me) the antonym of {word}", "antonym of {word}", "i need the opposite of {word}", "what word means the opposite of {word}",
)
_NEXT = (
    "(which|what) {kind} (comes|is) (after|next after) {here}", "(which|what) {kind} follows {here}", "what (comes|is) after {here}", "what is the {kind} after {here}", "the {kind} after {here}", "tell me the {kind} after {here}", "(which|what) is the next {kind} after {here}", "after {here} comes (what|which {kind})",
    "do you know [which|what] {kind} (comes after|follows) {here}", "if today is {here}, what is (tomorrow|next)", "name the {kind} after {here}",
)
_PREVIOUS = (
    "(which|what) {kind} (comes|is|was) before {here}", "what (comes|is|was) before {here}", "what is the {kind} before {here}", "the {kind} before {here}", "tell me the {kind} before {here}", "(which|what) {kind} precedes {here}", "before {here} comes (what|which {kind})", "name the {kind} before {here}",
)
_ANIMAL = (
    "what is {a} {animal}", "what's {a} {animal}", "tell me [something|more] about {a} {animal}", "tell me about the {animal}", "describe {a} {animal}", "(can|could) you describe {a} {animal}", "what do you know about {a} {animal}", "what kind of animal is {a} {animal}", "{animal}", "{a} {animal}", "explain {a} {animal}", "do you know [what] {a} {animal} [is]",
    "what does {a} {animal} look like", "what about {a} {animal}", "say something about {a} {animal}", "what does {a} {animal} do", "have you seen {a} {animal}", "what is {a} {animal} like", "a fact about {a} {animal}", "define {animal}",
)
_COLOUR = (
    "(what|which) (colour|color) is {thing}", "what is the (colour|color) of {thing}", "(colour|color) of {thing}", "tell me the (colour|color) of {thing}", "do you know the (colour|color) of {thing}", "(what|which) (colour|color) does {thing} have", "of (what|which) (colour|color) is {thing}", "what (colour|color) would you say {thing} is",
    "which (colour|color) has {thing}", "is {thing} (red|green|blue|yellow|white|black)",
)
_COUNT = (
    "count to {top}", "count [up] to {top}", "count from (1|one) to {top}", "(can|could) you count to {top}", "list the numbers (from 1 to|up to) {top}", "count for me to {top}", "say the numbers from 1 to {top}", "numbers from 1 to {top}", "please count until {top}", "i want you to count to {top}", "write the numbers 1 to {top}",
    "let us count to {top}", "give me the numbers (from 1 to|up to|1 to) {top}", "do you know how to count to {top}", "start counting to {top}", "show me the numbers (from 1 to|up to) {top}",
)
_LISTED = "(name|list|tell me|say|give me|what are|write down|recite|do you know|can you name|can you list|could you list|i need) "


def _series(name: str, kind: str, cycle: tuple[str, ...]) -> tuple[Topic, Topic]:
    shapes = {"here": _shape(cycle)}
    after = tuple(question.replace("{kind}", kind) for question in _NEXT if kind == "day" or "today" not in question)
    before = tuple(question.replace("{kind}", kind) for question in _PREVIOUS)
    return (
        Topic(f"facts.{name}_after", after, (f"The {kind} after {{here}} is {{after}}.",), lambda rng: _neighbour(cycle, rng), shapes),
        Topic(f"facts.{name}_before", before, (f"The {kind} before {{here}} is {{before}}.",), lambda rng: _neighbour(cycle, rng), shapes),
    )


TOPICS = (
    Topic("facts.capital", _CAPITAL, ("The capital of {land} is {city}.",), _capital, {"land": _shape(CAPITALS)}, share=5),
    Topic("facts.located", _LOCATED, ("{city} is the capital of {land}.",), _located, {"city": _shape(LOCATED)}, share=2),
    Topic("facts.opposite", _OPPOSITE, ("The opposite of {word} is {other}.",), _opposite, {"word": _shape((*OPPOSITES, *OPPOSITES.values()))}, share=3),
    *_series("day", "day", DAYS),
    *_series("month", "month", MONTHS),
    Topic("facts.days", (_LISTED + "[all] the [seven] (days of the week|weekdays|days in a week|days)", "days of the week", "which days (are there|does a week have)"), ("The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",)),
    Topic("facts.months", (_LISTED + "[all] the [twelve] (months of the year|months in a year|months)", "months of the year", "which months (are there|does a year have)"), ("The months are January, February, March, April, May, June, July, August, September, October, November and December.",)),
    Topic("facts.seasons", (_LISTED + "[all] the [four] seasons [of the year]", "seasons of the year", "which seasons (are there|does a year have)"), ("The seasons are spring, summer, autumn and winter.",)),
    Topic("facts.colours", (_LISTED + "(some|a few|three|four|five|the) (colours|colors)", "which (colours|colors) (are there|do you know)", "what (colours|colors) are there", "(colours|colors)"), ("Some colours are red, orange, yellow, green, blue and purple.",)),
    Topic("facts.animals", (_LISTED + "(some|a few|three|four|five) animals", "which animals (are there|do you know)", "what animals do you know", "animals"), ("Some animals are the dog, the cat, the horse, the owl, the whale and the bee.",)),
    Topic("facts.alphabet", (_LISTED + "the (alphabet|letters|abc)", "the (alphabet|abc)", "(say|write) the (alphabet|abc)"), ("A B C D E F G H I J K L M N O P Q R S T U V W X Y Z.",)),
    Topic("facts.animal", _ANIMAL, ("{A} {animal} is {what}.",), _animal, {"a": "an?", "animal": _shape(ANIMALS)}, share=3),
    Topic("facts.colour", _COLOUR, ("{Thing} is {colour}.",), _colour, {"thing": _shape(COLOURS)}, share=1.5),
    Topic("facts.count", _COUNT, ("{numbers}.",), _count, {"top": "(?:[0-9]{1,2}|" + "|".join(WORDS) + ")"}, share=3),
    Topic("facts.count_down", ("count down from {top}", "count (down|backwards|back) from {top} [to (1|one)]", "(can|could) you count down from {top}", "a countdown from {top}", "start a countdown from {top}", "countdown from {top}"), ("{numbers}.",), _down, {"top": "[0-9]{1,2}"}),
    *(_amount(key, answer) for key, answer in AMOUNTS.items()),
)
