"""Jokes, a poem, and stories short and long."""

from random import Random

from models.dialogues.facts import ANIMALS
from models.dialogues.names import SHAPE, name
from models.dialogues.topic import Filling, Topic

JOKES = (
    "Why was the GPU so calm? It had a lot of memory to spare.",
    "What did the token say to the cache? Do not forget me!",
    "Why did the request bring a ticket? It wanted to see the turbine.",
    "Why was the ledger never invited twice? It counts everyone exactly once.",
)
POEM = "Water waits behind the gate, a ticket lets it through; the turbine turns, the meter counts, and words come back to you."
SHORT = "Once upon a time, a {animal} lived by a river. One day it opened an old gate, and the water turned a wheel that lit up the whole valley. From then on the {animal} was never afraid of the dark. The end."
NAMED = "Once upon a time, {name} lived by a river. One day {name} opened an old gate, and the water turned a wheel that lit up the whole valley. From then on nobody was afraid of the dark. The end."
LONG = (
    "Once upon a time, in a valley between two mountains, there was a village without light. A river ran past it, wide and strong, but nobody knew what to do with so much water. "
    "In the village lived a girl called Mia. She liked to count things: stones, birds, and the stars above the roofs. One evening she followed the river up the hill, and there she found an old iron gate, covered with leaves. "
    "Behind the gate began a long pipe, and at the end of the pipe stood a wheel that had not turned for a hundred years. Mia cleaned the wheel for three days. On the fourth day a fox came by and asked what she was doing. "
    "\"I want to see it turn,\" said Mia. \"Then open the gate,\" said the fox, \"but only a little, and count every drop.\" "
    "So Mia opened the gate a little. The water sang in the pipe, the wheel began to turn, and down in the valley the first lamp was lit. Then came the second lamp, and the third, until the whole village shone like the sky. "
    "The people danced in the streets and asked who had done this. Mia only smiled and wrote a number into her book, for she had counted every drop. "
    "From that day on she kept the gate: she opened it when someone needed light, and closed it when all were asleep. Not one drop was ever lost. The end."
)
_WANT = "(tell me|write|write me|give me|tell|make up|invent|can you tell me|could you tell me|can you write|i want [to hear]|i would like [to hear]|please tell me|do you know|i'd like to hear|let me hear|compose|read me|another story please: tell me)"


def _animal(rng: Random) -> Filling:
    animal = rng.choice(tuple(ANIMALS))
    return {"animal": animal, "a": "an" if animal[0] in "aeiou" else "a"}


def _name(rng: Random) -> Filling:
    return {"name": name(rng)}


TOPICS = (
    Topic("story.joke", (_WANT + " (a|another|one more|a good|a funny|some|a short) (joke|jokes)", "say something funny", "make me laugh", "(joke|jokes|a joke)", "be funny", "do you know [any|some] jokes", "something funny", "cheer me up", "another one", "entertain me", "are you funny", "i am (bored|sad)"), JOKES, share=2),
    Topic("story.poem", (_WANT + " (a|another|a short|a little|a nice|some) (poem|rhyme|verse|poetry)", "(poem|a poem|a rhyme|poetry)", "can you rhyme", "write poetry"), (POEM,)),
    Topic("story.short", (_WANT + " (a|a short|another|a little|a nice|a quick|one) (story|tale|fairy tale|bedtime story)", "(story|a story|story time|a short story|once upon a time)", "do you know [any|some] stories"), (SHORT.format(animal="fox"),)),
    Topic("story.animal", (_WANT + " (a|a short|another|a little) (story|tale) (about|of|with) {a} {animal}", "a story (about|with) {a} {animal}", "i want a story about {a} {animal}"), (SHORT,), _animal, {"a": "an?", "animal": "(?:" + "|".join(ANIMALS) + ")"}),
    Topic("story.named", (_WANT + " (a|a short|another|a little) (story|tale) (about|of|with) {name}", "a story about {name}"), (NAMED,), _name, {"name": SHAPE}, verbatim=True),
    Topic("story.long", (_WANT + " (a|a very|another|a really) (long|longer|big) (story|tale)", "(a long story|long story|a longer story)", "write a (lot|long text|long answer|lot of text)", "a long (answer|text) please", "say something long", "stream (something long|a long answer|a story|me a story)", "tell me (a|the longest|your longest) story (you know|that is long)", "(show|demonstrate) streaming with a [long] story"), (LONG,), share=1.5),
)
