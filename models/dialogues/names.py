"""Names people may give: a few hundred known ones, and made-up ones without number, so that copying is learned."""

from random import Random

KNOWN = tuple(
    "Ada Adam Agnes Ahmed Aisha Alan Alba Alex Alice Amara Amir Amy Ana Anders Andrea Angela Anika Anna Anton Arjun Arthur Asha Astrid "
    "Aya Barbara Beatrix Ben Bella Benjamin Bert Bianca Bjorn Boris Brian Bruno Camila Carl Carla Carlos Caroline Cecilia Charlie Chen "
    "Chloe Chris Claire Clara Cleo Connor Cyrus Daisy Dan Daniel Daria David Deepak Diana Diego Dmitri Dora Edgar Edith Elena Eli Elias "
    "Elif Ella Emil Emily Emma Enzo Eric Esther Ethan Eva Fatima Felix Fiona Finn Florian Frank Freya Frida Gabriel Gia Grace Greta Hana "
    "Hannah Harry Hassan Helen Henry Hiro Hugo Ian Ibrahim Ida Igor Ines Ingrid Irene Iris Isaac Ivan Jack Jacob Jade James Jan Jane "
    "Jasmine Javier Jean Jenny Joan Joe John Jonas Jose Judith Julia Julian Kai Karen Karim Karl Kate Keiko Kevin Khalid Kim Kira Klaus "
    "Lara Lars Laura Layla Lea Leila Lena Leo Leon Lily Lina Linus Lisa Liu Louis Luca Lucy Luis Luna Magnus Mai Malik Marco Maria Mark "
    "Marta Martin Mary Mateo Max Maya Mei Mia Michael Mike Mila Milan Mira Mohamed Nadia Naomi Nico Nils Nina Noah Noor Nora Olaf Olga "
    "Oliver Olivia Omar Oscar Otto Pablo Paul Paula Pedro Peter Petra Pia Priya Quinn Rachel Rafael Raj Rania Ravi Rebecca Rita Robert "
    "Robin Rosa Ruth Ryan Sally Sam Samira Samuel Sandra Sara Sasha Sean Sergei Sofia Sonia Stefan Steve Sunita Susan Sven Tara Tariq "
    "Teresa Theo Thomas Tim Tina Tom Uma Ursula Valentina Vera Victor Viktor Vincent Wanda Wei Wendy Willem William Xena Yara Yasmin Yuki "
    "Yusuf Zara Zoe Zoltan".split()
)
ONSETS = tuple("b c ch d f g gr h j k kl l m n p r s sh st t th tr v w y z br dr".split()) + ("",)
VOWELS = tuple("a e i o u ai ea ou ia ee".split())
CODAS = ("", "", "", *"n r l s t x m ck nd rt th".split())

SHAPE = "[A-Za-z]{2,20}"
"""Every name there can be."""


def made_up(rng: Random, low: int = 1, high: int = 3) -> str:
    """A word of `low` to `high` made-up syllables, in lower case, of two letters or more."""
    syllables = (rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(low, high)))
    word = "".join(syllables)
    return word if len(word) > 1 else word + "na"


def name(rng: Random) -> str:
    """A name, mostly written with a capital."""
    word = rng.choice(KNOWN) if rng.random() < 0.4 else made_up(rng).capitalize()
    chance = rng.random()
    return word.lower() if chance < 0.15 else word.upper() if chance < 0.18 else word
