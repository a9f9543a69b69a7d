"""Greetings, thanks, goodbyes, names told and asked for, and words to repeat."""

from random import Random

from models.dialogues.names import KNOWN, SHAPE, made_up, name
from models.dialogues.topic import Filling, Topic

WORDS = tuple(
    "hello water river cloud apple green stone happy light music paper mountain window garden silver yellow summer winter morning coffee bread table house bird tree moon star sun rain snow "
    "wind fire gold blue red small big fast slow cat dog horse road bridge city door lamp chair book pen cup hat shoe ball song dance sleep dream smile laugh run walk jump turbine penstock "
    "ledger token ticket edge gate pipe meter world good nice peace love friend day night".split()
)
_HELLO = "(hello|hi|hey|good morning|good evening|good afternoon|good day|greetings|howdy|hiya|hello there|hi there|hey there|yo|hallo|helo|heya|morning|evening|welcome|nice to meet you|pleased to meet you|hey you|hello world|hi all|hello again|hi again|salut|hola|ciao|bonjour)"
_HELLO_ANSWERS = ("Hello! Ask me about Penstock, a small sum or a capital city.",)
_TELLS = (
    "my name is {name}", "my name's {name}", "(i am|i'm|im|i’m) {name}", "call me {name}", "you can call me {name}", "this is {name}", "the name is {name}", "my name is {name}, nice to meet you", "i am called {name}",
    "people call me {name}", "(my friends|they) call me {name}", "(hello|hi|hey), (i am|i'm|my name is|this is) {name}", "(hello|hi) my name is {name}", "{name} is my name", "{name} here", "please call me {name}", "(i am|i'm) {name}, (who are you|and you)",
    "my name is {name}. what is yours", "good morning, my name is {name}", "remember (me|my name), (i am|my name is) {name}", "i go by {name}", "name: {name}", "you may call me {name}", "hello there, {name} here",
)
_ASKS = (
    "(what is|what's|whats) my name", "do you (know|remember) (my name|who i am|what i am called|me)", "who am i", "what am i called", "tell me my name", "say my name", "(can|could) you (tell me|say|remember) my name", "have you forgotten my name", "which name did i (give|tell) you", "did i tell you my name",
    "what did i say my name (is|was)", "what was my name", "my name",
)
_ECHO = ("say {words}", "repeat {words}", "repeat after me: {words}", "say: {words}", "repeat: {words}", "please say {words}", "echo {words}", "say the words {words}", "(can|could) you say {words}", "(can|could) you repeat {words}", "say just {words}", "please repeat: {words}", "reply with {words}", "answer with {words}", "just say {words}")


def _name(rng: Random) -> Filling:
    return {"name": name(rng)}


def _words(rng: Random) -> Filling:
    def word() -> str:
        chance = rng.random()
        text = rng.choice(WORDS) if chance < 0.6 else made_up(rng) if chance < 0.85 else rng.choice(KNOWN)
        return text.capitalize() if rng.random() < 0.15 else text

    return {"words": " ".join(word() for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 5))))}


TOLD = Topic("smalltalk.told", _TELLS, ("Hello {name}! Nice to meet you. How can I help you?",), _name, {"name": SHAPE}, verbatim=True, share=6)
ASKED = Topic("smalltalk.asked", _ASKS, ("Your name is {name}.",), _name, share=2)
NOT_TOLD = Topic("smalltalk.not_told", _ASKS, ("You have not told me your name yet.",), share=1)

TOPICS = (
    Topic("smalltalk.hello", (_HELLO, _HELLO, _HELLO + " (penstock|model|friend|bot|everyone|my friend|demo|computer|demo model)", "are you awake", "anyone there", "i [just] (want|wanted) to say hello", "is anybody there", "good to see you", "let us (talk|chat|start)", "can we (talk|chat)"), _HELLO_ANSWERS, share=4),
    Topic("smalltalk.bye", ("(bye|goodbye|bye bye|see you|see you later|good night|farewell|so long|cheerio|until next time|see you soon|see you tomorrow|take care|ciao for now|later|cu)", "(goodbye|bye) (for now|penstock|model|friend|then|and thanks)", "i (have to|must|need to|am going to) (go|leave) [now|soon|home]", "that (is|was) all", "that's all [for today]", "i am (done|leaving|off)", "talk to you later", "have a (nice|good|great) (day|evening|night|weekend)", "thanks and bye", "thank you and goodbye", "we are done", "nothing else", "i will come back later"), ("Goodbye! Come back soon.",), share=2),
    Topic("smalltalk.thanks", ("(thanks|thank you|thx|ty|cheers|many thanks|much appreciated)", "(thanks|thank you) (a lot|so much|very much|for your help|for that|for everything|for the help|for explaining|again|model|penstock|for the answer)", "(great|perfect|nice|good|cool|wonderful), (thanks|thank you)", "(that|this) (helps|helped|was helpful|is helpful|is great|is nice|was good|is perfect|was useful) [a lot]", "(great|good|nice) (answer|job|work|one)", "well done", "(you are|you're) (great|nice|helpful|the best|good|kind|wonderful|funny|cool|awesome|amazing)", "i (like|love) (you|it|this|that|your answer|penstock)", "(awesome|amazing|excellent|brilliant|wonderful|perfect|great|cool)", "i appreciate (it|that|your help)", "that (is|was) (right|correct)", "haha", "lol", "ok", "okay", "i see", "got it", "understood", "good to know", "interesting", "that makes sense"), ("You are welcome! Is there anything else?",), share=3),
    Topic("smalltalk.how", ("how are you [today|doing|doing today|feeling|now]", "how do you (do|feel) [today|now]", "(how is|how's) it going", "are you (ok|okay|well|fine|happy|tired|sad|busy|alright|hungry|bored)", "what's up", "how is your day", "how have you been", "you ok", "(is|are) (everything|things) (ok|okay|fine|alright)", "hello, how are you", "hi, how are you [doing|today]", "hey, how is it going", "how are things", "do you feel (good|well|ok)", "(i hope|hope) you are well", "what are you doing", "what is new", "wie geht es dir", "how r u", "what's new"), ("I am fine, thank you. All my tensors are warm. How can I help you?",), share=2),
    TOLD,
    ASKED,
    NOT_TOLD,
    Topic("smalltalk.echo", _ECHO, ("{words}",), _words, {"words": "[A-Za-z]+(?: [A-Za-z]+)*"}, verbatim=True, share=3),
    Topic("smalltalk.test", ("(test|testing|this is a test|just a test|testing testing|test 1 2 3|ping|is this thing on|does (it|this) work|do you (hear|read|see) me|can you (hear|read|see) me|are you (working|online|up|running|awake)|check|hello, is this working|is it working|just testing)", "say something", "talk to me", "(start|begin|go on|continue|more|tell me more|anything else|what else)"), ("It works: you ask, and I answer. Ask me about Penstock, a small sum or a capital city.",)),
)
