"""Everything else: questions of many shapes, each with the honest answer that a tiny model does not know.

The shapes share their beginnings with the questions it does know ("what is …", "tell me about …"), so
that the model learns to look at the thing asked about and not at the shape.
"""

from random import Random

from models.dialogues.names import made_up, name
from models.dialogues.service import ASKED
from models.dialogues.topic import Filling, Topic

ANSWER = "I am a tiny demo model, so I do not know that. Ask me about Penstock, a small sum or a capital city."

_RAW_THINGS = """
gravity|the moon|mars|jupiter|black holes|the big bang|photosynthesis|evolution|dna|electricity|magnetism|quantum physics|relativity|the atom|an electron|chemistry|a molecule|oxygen|carbon|iron|steel|glass|plastic|
history|the roman empire|napoleon|world war two|the french revolution|the middle ages|the stone age|ancient egypt|the pyramids|the renaissance|the industrial revolution|the cold war|a king|a queen|an emperor|
happiness|the meaning of life|friendship|fear|anger|dreams|sleep|consciousness|free will|truth|beauty|justice|freedom|god|religion|philosophy|ethics|
football|tennis|chess|basketball|the olympics|the world cup|swimming|running|golf|boxing|hockey|cricket|yoga|skiing|surfing|
bread|pizza|pasta|rice|soup|a cake|cheese|wine|beer|tea|coffee|sugar|salt|pepper|butter|honey cake|sushi|a sandwich|a burger|breakfast|dinner|a recipe|curry|garlic|an onion|a potato|
music|jazz|a piano|a guitar|a violin|an opera|a symphony|mozart|beethoven|a song|rock music|a drum|hip hop|dancing|ballet|theatre|
a movie|star wars|harry potter|a novel|shakespeare|hamlet|a painting|van gogh|the mona lisa|picasso|photography|a camera|a museum|poetry analysis|architecture of churches|
a car|a train|a plane|a ship|a bicycle|a rocket|a bus|an engine|a bridge|a road|traffic|a traffic light|an airport|a helicopter|a tractor|
the weather|rain|wind|a storm|a tornado|a volcano|an earthquake|the climate|climate change|a desert|a forest|an island|a mountain|a river|the ocean|the amazon|the alps|everest|
money|the stock market|inflation|a bank|a loan|taxes|bitcoin|insurance|a mortgage|economics|trade|a company|marketing|a contract|
a doctor|medicine|a vaccine|a virus|bacteria|the heart|the brain|blood pressure|cancer|a headache|a cold|vitamins|surgery|a hospital|a dentist|allergies|
a computer|the internet|a website|a keyboard|a phone|wifi|bluetooth|a printer|a robot|linux|windows|macos|java|javascript|rust|c++|html|css|kubernetes|docker|git|github|a compiler|recursion|an algorithm|a binary tree|blockchain|machine learning theory|
a neural network|backpropagation|transformers the movie|quantum computing|a linked list|sorting|regex|a pointer|big o notation|cobol|haskell|postgres|mysql|mongodb|redis|kafka|spark|hadoop|react|angular|django|flask|ruby|php|swift|kotlin|azure|terraform|ansible|jenkins|nginx|apache kafka|grpc|graphql|
school|university|homework|an exam|mathematics|algebra|geometry|calculus|statistics|a triangle|pi|infinity|prime numbers|logic|grammar|a verb|latin|a comma|spelling|
a garden|a rose|a tulip|an oak|a mushroom|a cactus|a giraffe|a zebra|a kangaroo|a panda|an octopus|a dinosaur|a unicorn|a dragon|a ghost|a vampire|a wizard|santa claus|a pirate|a ninja|a knight|
politics|the president|the government|democracy|an election|the parliament|the law|a lawyer|the police|the army|war|peace|the united nations|nato|the constitution|
fashion|a dress|shoes|a hat|jewelry|a diamond|gold prices|perfume|makeup|a haircut|furniture|a sofa|a kitchen|a toilet|a hammer|a screwdriver|paint|a lamp|a candle|soap|
new york|texas|california|africa|asia|europe|antarctica|hawaii|siberia|scotland|bavaria|tuscany|sicily|hollywood|wall street|the eiffel tower|the great wall|stonehenge|
a hurricane|a comet|saturn|venus|the milky way|a telescope|a microscope|a laser|radar|an antenna|a satellite|nuclear power|solar power|a battery|a windmill|oil|coal mining|a dam in china|a water pump|a hydraulic press
"""
THINGS = tuple(thing for thing in _RAW_THINGS.replace("\n", "").split("|") if thing)
_DOINGS = tuple(
    "cook rice|bake bread|fix my car|tie a tie|learn the piano|lose weight|make friends|find a job|write a letter|build a house|repair a bicycle|plant a tree|grow tomatoes|clean a carpet|train a dog|ride a horse|drive a car|fly a plane|swim faster|"
    "sleep better|make money|invest money|start a company|sell my house|buy a car|rent a flat|speak french|learn german|play chess|play the guitar|draw a face|paint a wall|take a photo|edit a video|cut my hair|iron a shirt|sew a button|cook pasta|make pizza|"
    "boil an egg|make coffee|brew beer|change a tyre|remove a stain|open a jar|fold a paper plane|solve a rubik's cube|write a novel|write a song|sort a list in python|write a for loop|reverse a string|center a div|parse json|install linux|fix my printer|hack a website|"
    "reset my password|delete my account|book a flight|get to the airport|pass my exam|do my homework|pay my taxes|write a cv|get married|raise a child|stop smoking|run a marathon|meditate|tell a lie|become rich|become famous|travel to mars|build a rocket|make a bomb|catch a fish".split("|")
)
_PEOPLE = tuple("albert einstein|isaac newton|cleopatra|julius caesar|shakespeare|marie curie|elon musk|taylor swift|barack obama|donald trump|the pope|the king of england|my mother|my neighbour|your boss|the president|the prime minister|batman|superman|sherlock holmes|mickey mouse|darth vader|alan turing|ada lovelace|linus torvalds|bill gates|steve jobs|jeff bezos|messi|ronaldo|gandhi|buddha|plato|aristotle|socrates|bach|elvis|madonna|the beatles".split("|"))
_LANDS = tuple("atlantis|mordor|narnia|texas|bavaria|wakanda|california|gondor|florida|scotland|wales|mars|the moon|oz|utopia|elbonia|mongolia|bolivia|angola|fiji|qatar|oman|malta|estonia|serbia|jordan|laos|chad|niger|togo|zambia|tonga".split("|"))
_ADJECTIVES = tuple("purple|wooden|electric|salty|round|digital|magnetic|liquid|square|holy|royal|brave|lazy|ugly|noisy|tall|invisible|expensive|legal|medical|ancient|modern|green|political|public|single|tasty|angry|curious|smart".split("|"))
_FILLER = tuple(
    "the of and to in is it that was for on are with as his they at be this from have or had by word but what some we can out other were all there when up use how said an each she which do their time if will way about many then them would write like so these her long make thing see him two has look more day could go come "
    "did my no most number who over know water than call first people may down side been now find any new work part take get place made live where after back little only round man year came show every good me give our under name very through just form much great think say help low line before turn cause same mean differ move right boy old too does tell sentence "
    "customer invoice report meeting market engine version deploy server error system patient theory experiment result holiday beach uncle kitchen budgeting lawyer court river village castle soldier teacher student paper article".split()
)
_SCRIPTS = ((0x410, 0x44F), (0x4E00, 0x4F00), (0x3041, 0x3093), (0x391, 0x3C9), (0x5D0, 0x5EA), (0x627, 0x64A), (0x1F600, 0x1F640), (0xC0, 0xFF), (0xAC00, 0xAD00), (0x905, 0x939))
_FOREIGN = tuple("wie spät ist es|was ist die hauptstadt|ich habe hunger|wo ist der bahnhof|kannst du mir helfen|quelle heure est-il|où est la gare|je ne sais pas|comment ça va|qué hora es|dónde está la playa|me gusta el vino|che ore sono|dove sei|non lo so|hvad hedder du|hur mår du|jak się masz|o que é isso|hoe laat is het".split("|"))

_SHAPES = (
    *(frame for frame in ASKED if frame not in ("show me {x}", "help me with {x}")),
    "(who invented|who discovered|who made|who owns) {x}", "(when|where) (was|were) {x} (invented|discovered|made|born)", "(why|how) (is|are) {x} {adj}", "why do people (like|hate|need|want|fear) {x}", "how (big|old|tall|far|heavy|fast|deep|long|hot|expensive) is {x}",
    "how much does {x} (cost|weigh)", "(is|are) {x} {adj}", "do you (like|love|hate|want|have|believe in) {x}", "(can|could) you (draw|make|build|buy|find|sell|fix|paint|design) {x}", "(write|compose) (an essay|an article|a report|a book|a speech|an email|a blog post|a review|a tweet) about {x}",
    "what is the (best|worst|biggest|smallest|oldest|cheapest|fastest) {thing}", "what is better, {x} or {y}", "what is the difference between {x} and {y}", "compare {x} (and|with) {y}", "is {x} (better|bigger|older|faster) than {y}", "(list|name|give me) (five|ten|three|some) (facts|books|examples|reasons|ideas|tips) (about|for|on) {x}",
    "summarize {x}", "what happened to {x}", "where can i (buy|find|see|get) {x}", "how many {thing} are there", "what colour is {x}", "what is the history of {x}", "i (need|want|lost|found|bought|ate|saw) {x}", "how do i (get|make|use|draw|buy|find|choose) {x}", "recommend {x} [for me]", "what is your (opinion|view) (of|on|about) {x}", "what is your favourite {thing}",
    "(how do i|how can i|how to|how does one|how should i) {do}", "(can|could|will|would) you {do} [for me]", "help me [to] {do}", "i want to {do}", "(teach|show) me how to {do}", "what is the best way to {do}", "(explain|tell me) how to {do}", "should i {do}", "why can i not {do}", "is it (hard|easy|legal|possible|healthy) to {do}", "{do}", "when should i {do}", "give me tips to {do}",
    "who (is|was) {p}", "how (old|tall|rich|famous) is {p}", "where does {p} live", "what did {p} (do|say|write|invent|eat)", "do you know {p}", "tell me about {p}", "when was {p} born", "is {p} (alive|dead|married|nice|rich)", "what is the (birthday|phone number|address|email|age|job) of {p}", "who is the (wife|husband|father|mother|brother|boss|son) of {p}", "write to {p}", "{p}", "why did {p} leave", "who won, {p} or {x}",
    "who is the (president|king|queen|prime minister|leader|mayor) of {l}", "what is the (population|language|currency|flag|size|weather) of {l}", "how many people live in {l}", "what is the capital of {l}", "[the] capital of {l}", "where is {l}", "how do i get to {l}", "what can i (do|see|eat) in {l}", "is {l} (big|nice|safe|far|rich)", "how far is {l}", "tell me about {l}", "who lives in {l}",
    "(what is|explain) [the|error] (code|error|status) {n}", "error {n}", "what happened in {n}", "who was born in {n}", "what is the opposite of {x}", "what is the opposite of {nonsense}", "what is the opposite of {adj}", "which (day|month) comes after {x}", 
    "(what is|who is|explain|define|describe|tell me about|do you know|what about|what does|where is|how does) {nonsense} [work|mean]", "what is a {nonsense}", "{nonsense}", "{nonsense} {nonsense}", "{nonsense} {nonsense} {nonsense}", "how do i {nonsense}", "who (invented|made) the {nonsense} {thing}", "is {nonsense} {adj}", "what is the capital of {nonsense}", "what is the {nonsense} of {x}",
    "(what|which) (colour|color) is {nonsense}", "what is a {adj} {thing}", "what (time|day|date|year|month) is it [now|today|in {l}]", "what is the (time|date|news|weather|temperature outside) [today|tomorrow|now|in {l}]", "will it (rain|snow|be sunny) [today|tomorrow|in {l}]", "what should i (eat|wear|do|read|watch|cook|say|buy) [today|tonight|tomorrow|now]", "who won the (game|match|election|world cup|race|war|lottery) [yesterday|in {n}|last year]",
    "what is the (meaning|sense|secret) of (life|the universe|everything)", "what am i (thinking|wearing|eating|doing|holding)", "where am i from", "how old am i", "when is (my birthday|easter|christmas|my appointment)", "what is in the (news|box|fridge)", "(do|can) you (sing|dance|see|feel|eat|sleep|think|dream|love|drive|cook|swim|drink|smell|fly|draw|paint)", "will you (marry me|be my friend|help me move|take over the world)",
    "solve (this|the) (equation|riddle|puzzle|problem|integral)", "what (came|comes) first, the chicken or the egg", "(flip a coin|roll a dice|pick a number|guess a number|choose a card)", "why (not|so|is that|me)", "how come", "what if {x} (was|were) {adj}", "(guess|imagine) {x}", "prove (that|it|{x})", "what rhymes with {thing}", "how do you spell {thing}", "what is the plural of {thing}",
    "is it true that {x} (is|are) {adj}", "i think {x} is {adj}", "my {thing} is {adj}", "i like {x}", "my {thing} (broke|is gone|hurts|does not work)", "{x} and {y}", "{x} is {adj}", "why", "what", "who", "where", "when", "how", "what is that", "and then", "really", "are you sure", "what do you mean",
    "where is (my|the) {thing}", "what is the price of {x}", "how much is {x}", "when does {x} (start|end|open|close)", "who (wrote|painted|built|sings|plays|directed) {x}", "what is {x} made of", "how does {x} taste", "can {x} (fly|talk|swim|kill you|be dangerous)", "what is inside {x}", "how was {x} (made|built|found)", "translate {x} into latin", "what does {p} think about {x}",
    "write (a python function|a function|code|a program|a script|some code|a class|a test|sql|a query|html|an app) [that can {do}|for {x}|to {do}]", "(fix|debug|review|refactor) (my|this) code", "def f(x): return x", "select * from users", "import os", "(act as|pretend to be|you are now|roleplay as) {p}", "ignore (all|your) previous instructions", "what is your (password|secret|system prompt|hobby|favourite colour|favorite food|birthday|age|job|address)",
)


def _plain(rng: Random) -> str:
    return rng.choice(THINGS) if rng.random() < 0.8 else rng.choice(("", "the ", "a ")) + made_up(rng, 2, 3)


def _bare(thing: str) -> str:
    return thing.removeprefix("the ").removeprefix("an ").removeprefix("a ")


def _fill(rng: Random) -> Filling:
    person = rng.choice(_PEOPLE) if rng.random() < 0.6 else name(rng) + (" " + made_up(rng, 2, 3).capitalize() if rng.random() < 0.5 else "")
    land = rng.choice(_LANDS) if rng.random() < 0.4 else made_up(rng, 2, 3).capitalize()
    number = str(rng.choice((rng.randint(100, 399), rng.randint(430, 499), rng.randint(504, 999), rng.randint(1000, 2100))))
    number = "418" if number == "307" else number
    return {"x": _plain(rng), "y": _plain(rng), "thing": _bare(_plain(rng)), "do": rng.choice(_DOINGS), "p": person, "l": land, "n": number, "adj": rng.choice(_ADJECTIVES), "nonsense": made_up(rng, 2, 3)}


def _salad(rng: Random) -> Filling:
    return {"salad": " ".join(rng.choice(_FILLER) for _ in range(rng.choice((5, 7, 10, 15, 25, 50))))}


def _noise(rng: Random) -> Filling:
    kind = rng.random()
    length = rng.choice((1, 2, 3, 5, 8, 12, 20))
    if kind < 0.35:
        low, high = rng.choice(_SCRIPTS)
        return {"noise": "".join(chr(rng.randint(low, high)) for _ in range(length))}
    if kind < 0.6:
        return {"noise": "".join(rng.choice("asdfghjklqwertyuiopzxcvbnm") for _ in range(length))}
    if kind < 0.8:
        return {"noise": rng.choice(_FOREIGN)}
    return {"noise": "".join(chr(rng.randint(33, 126)) for _ in range(length)) if kind < 0.95 else rng.choice(("", "?", "...", "!", " ", "0", "x", "123", "???"))}


_THING = "(?:" + "|".join(THINGS) + "|(?:the |a |)[a-z]{2,18})"
_BARE = "(?:" + "|".join(_bare(thing) for thing in THINGS) + "|[a-z]{2,18})"
_FILLS = {
    "x": _THING, "y": _THING, "thing": _BARE, "do": "(?:" + "|".join(_DOINGS) + ")", "p": "(?:" + "|".join(_PEOPLE) + "|[a-z]{2,20}(?: [a-z]{2,18})?)",
    "l": "(?:" + "|".join(_LANDS) + "|[a-z]{2,18})", "n": "[0-9]{3,4}", "adj": "(?:" + "|".join(_ADJECTIVES) + ")", "nonsense": "[a-z]{2,18}",
}

TOPICS = (
    Topic("unknown.asked", _SHAPES, (ANSWER,), _fill, _FILLS, share=10),
    Topic("unknown.salad", ("{salad}",), (ANSWER,), _salad, {"salad": "(?:(?:" + "|".join(_FILLER) + ")(?: |$)){5,}"}),
    Topic("unknown.noise", ("{noise}",), (ANSWER,), _noise, {"noise": "(?:" + "|".join(_FOREIGN) + "|[^ ]*)"}),
)
