"""Questions that the small world knows nothing about.

A model that has only met what it can answer answers everything. So it also learns to say what it knows. A quarter of
these questions are never trained on: whether it is honest about them tells whether it will be about others.
"""

from numpy.random import Generator

from .scenes import pick

LIST = """
hello / hi / hi there / good morning / good evening / how are you / how are you today / who are you / what are you /
what is your name / do you have a name / who made you / who trained you / are you a robot / are you alive /
can you think / do you dream / do you like music / what can you do / what do you know / what do you not know / help /
can you help me / i need help / thank you / thanks a lot / goodbye / see you tomorrow / what time is it /
what day is it today / what year is it / when is your birthday / how old are you / where do you live /
where are you from / what is the weather like / will it rain tomorrow / is it cold outside / is the sun shining /
what is the capital of france / what is the capital of japan / which country is the largest / who is the president /
who was einstein / who wrote hamlet / who painted the mona lisa / when did the war end / how far is the moon /
how high is mount everest / how many people live in china / how many legs does a spider have /
how many days are in a year / how many planets are there / how many continents are there / what is two plus two /
what is 3 times 7 / how much is 12 minus 5 / what is the square root of 16 / is 17 a prime number / what is pi /
count to ten / say the alphabet / write a poem / write me a letter / write a python program / tell me a joke /
tell me a story / tell me something funny / sing a song / play some music / translate this into french /
what does hola mean / how do you say cat in german / spell banana / what is love / what is the meaning of life /
why is the sky blue / why is grass green / why do birds sing / why is the star blue / why is there a circle /
who drew this picture / who painted the square / when was this picture taken / where was this photo taken /
how big is the picture in pixels / how much does the star cost / how heavy is the circle / how old is the triangle /
is the square happy / does the star like the circle / can the triangle fly / what is behind the square /
what is inside the circle / what will the star do next / what comes after this picture / do you like the picture /
is this picture beautiful / is this art / is this a good drawing / what style is this picture in /
what does this picture mean / what does the artist want to say / what is the mood of the picture /
what is the person doing / what is the man wearing / is the woman smiling / how many people are there /
how many cats can you see / how many dogs are in the picture / how many cars are there /
is there a person in the picture / is there a dog / is there a cat on the sofa / is there a tree / can you see a house /
do you see a mountain / is it day or night / is it summer or winter / is this indoors or outdoors /
what animal is this / what kind of dog is this / what breed is the cat / what food is this /
what fruit is on the table / what is on the table / what brand is the car / what sport is this / which city is this /
what language is this / what does the sign say / read the text / what is the title of the book /
what is the price of the bread / what colour is the sky / what colour is the dog / what colour is my hair /
what colour are your eyes / what colour is the hexagon / what colour is the background / which colour do you like best /
what is your favourite colour / is there a purple star / is there an orange circle / can you see a white square /
where is the hexagon / where is the cat / where is my phone / where is the heart / where is paris /
where can i buy shoes / what shape is the earth / which shape has five corners / how many corners does a square have /
how many sides does a triangle have / what is a triangle / what is a circle / what is the area of the circle /
how do you draw a star / draw a circle / draw me a picture / paint the star red / move the star to the left /
delete the square / make the circle bigger / change the colour of the square / turn the picture around / zoom in /
save the picture / open the door / close the window / turn off the light / set an alarm for seven / call my mother /
send an email / buy some milk / order a pizza / book a flight to rome / how do i get to the station /
how do i cook rice / how do i bake bread / what should i eat tonight / what should i wear / can you recommend a book /
which film should i watch / who won the match / who will win the cup / how does a car work /
how does the internet work / what is a computer / what is a neural network / what is diffusion / how do you work /
how were you trained / how many parameters do you have / what is attention / what is a transformer / are you chatgpt /
are you better than a human / do you speak german / parlez vous francais / wie geht es dir / hola que tal / yes / no /
maybe / why / who / when / really / are you sure / i do not believe you / that is wrong / you are wrong /
you are great / i love you / i am tired / i am hungry / i am happy today / my cat is ill / it is raining /
this is a test / test / asdf / qwerty / lorem ipsum dolor / bla bla bla / xyz / 123 / what / ok / stop / go on /
continue / again / nothing / never mind / what do you think / is god real / what is money / how do i get rich /
what is the best phone / explain quantum physics / explain relativity to me / what is gravity / what is dna /
what is water made of / how hot is the sun / how deep is the ocean / how long is a marathon / how fast is light /
what is the tallest building / which mountain is the highest / what is the smallest country /
which animal is the biggest / who is the fastest runner / what is the longest river / what is under the star /
what is on top of the circle / what is in front of the triangle / what is next to the moon /
what is the circle made of / what is the square for / what is the star doing / what is wrong with the triangle /
who are the circle and the square / who put the star there / who is in the picture / who drew the triangle /
who lives in the square / why is the square green / why are there two stars / why do you see a circle / why is it red /
when was the circle drawn / when will the star move / how is the star / how is the weather /
how is the square feeling / how hot is the star / how tall are you / how big is the circle / how long is the side /
how wide is the square / how far is the star from the circle / how fast is the circle / how was your day /
how is it going / how come / how many words do you know / how many colours do you know /
how many languages do you speak / how many letters are in the word / how many books have you read /
how many stars are in the sky / how many hours are left / how many fingers do i have / how many wheels does a car have /
how many sides does a star have / can you see me / can you hear me / can you read / can you write /
can you draw a star / can you speak / can you count / can you sing / can you move the square / can i ask you something /
can i eat the circle / can we be friends / do you know me / do you see anything funny / do you have friends /
do you like red / do you like the star / do you understand me / do you sleep / do you want to play /
do you think that the star is nice / does the circle have a name / does the star shine / does the square move /
does it hurt / does this make sense / is it you / is it good / is it true / is it old / is it late / is it far /
is it big / is the picture old / is the star real / is the circle a wheel / is the triangle a roof /
is the square a window / is the star tired / is red better than blue / is black a colour / is there anybody /
is there life on mars / is there more / is this a photo / is this a joke / is this your house / is this picture yours /
is this real / is anybody there / are you there / are you happy / are you red / are you a star / are you sad /
are you human / are you ready / are the shapes friends / are there people / are there any questions / are we alone /
what is your age / what is your job / what is your favourite shape / what is that noise / what is this about /
what is the name of the star / what is the name of this picture / what is the answer / what is the question /
what is the time in london / what is the date / what is new / what is up / what is left of the cake /
what is the number of my house / what is the best colour / what is the opposite of left / what is a bar /
what is a picture / what is a colour / what is red made of / what is green tea / what is a black hole /
what number do you like / what number am i thinking of / what number comes after nine / what is your number /
what colour is a banana / what colour is snow / what colour is your car / what colour is the roof / what colour am i /
what colour do i like / what colour will it be tomorrow / what shape are you / what shape is a ball /
what shape is my head / what shape do you like / which shape is the nicest / which shape do you like /
which star is a planet / which bar is open / which bar sells beer / which is better / which one do you want /
which way is the station / where am i / where are you / where is it made / where is the sun / where is the star sold /
where is my mother / where does the star live / where did you learn that / where is north / where do the birds go /
where is the exit / tell me more / tell me about yourself / tell me a secret / tell me the truth / tell me who you are /
tell me your name / tell me what you think / tell me why / describe yourself / describe your mother /
describe the weather / describe love / name a city / name three animals / name your price / name the king /
count the sheep / count the money / count to three / count backwards / list all countries / list your friends /
show me your house / show me a dog / show me the way / say hello / say something / say my name / say it in french /
say yes / find my keys / find the train / find a hotel / look at me / look out / listen / wait / come here / go away /
go home / stand up / sit down / be quiet / hurry up / fine / good / great / wow / cool / haha / oops / sorry /
excuse me / welcome / congratulations / good night / good luck / happy birthday / nice to meet you / see you / bye /
thanks / never / always / maybe later / of course / not really / i see / i know / i do not know / i like red /
i like stars / i am a square / i am lost / i am cold / i have a question / i have two cats / i see a ghost /
i want pizza / i need a doctor / i forgot my key / i live in spain / i can fly / my name is anna / my star is blue /
my house is on fire / my car is red / you are a circle / you are nice / you can go / you know nothing / we are lost /
we won / he is tall / she is nice / they are red / it is late / it is a nice day / it is the wrong picture /
this is wrong / this is not a star / this is my picture / that is nice / that is all / the end / the star sign /
the dog is red / the sky is blue / the circle is mine / the weather is nice / the answer is no /
the square is on the table / the picture hangs on the wall / red wine / green light / black coffee / blue sky /
yellow pages / pink floyd / star wars / circle of friends / triangle of love / times square / left hand / top model /
bottom line / number one / bar stool / colour television / moving pictures / in the middle of nowhere /
once upon a time
"""
# With a noun or with nonsense in the bracket, which asks in the words of the small world about what is not in it.
FRAMES = """
what colour is the {word} / which colour does the {word} have / where is the {word} /
tell me where the {word} is / is there a {word} / can you see a {word} / do you see any {word} /
is the {word} red / how many {word}s are there / count the {word}s / what is the {word} / what is a {word} /
what about the {word} / describe the {word} / who is the {word} / why is the {word} here / i like the {word} /
do you like {word}s / the {word} is my friend / how do i make a {word} / what does the {word} want /
{word} {other_word} / {word} / {word} {other_word} {third_word} / where can i get a {word} /
is the {word} left of the {other_word} / tell me about the {word} / find the {word} / how old is the {word} /
does a {word} have a {other_word}
"""
NOUNS = """
dog cat house tree car bird fish horse cow table chair book phone cup plate lamp door window garden river mountain
lake sea boat ship train bus road bridge city flower rose apple banana orange lemon pear bread cake pizza coffee tea
milk water sugar hat shoe shirt dress ring watch clock guitar piano drum ball game toy doll king queen teacher doctor
friend mother father baby boy girl man woman person face hand eye nose hair heart cloud sun moon planet rocket robot
computer camera pencil letter hexagon rectangle oval diamond cube line dot arrow cross spiral pyramid
""".split()


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in text.replace("\n", " ").split("/")]


_all = _pieces(LIST)
QUESTIONS = (*(text for number, text in enumerate(_all) if number % 4), *_pieces(FRAMES))
HELD_OUT_QUESTIONS = tuple(_all[::4])


def spliced(rng: Generator, familiar: set[str]) -> str:
    """The beginning of one of QUESTIONS and the end of another, with a word at least that is not `familiar`.

    Of such mixtures there are many more than questions. They teach that a strange word makes a question unrelated,
    whatever else is in it.
    """
    while True:
        one, other = pick(rng, QUESTIONS).split(" "), pick(rng, QUESTIONS).split(" ")
        words = one[:rng.integers(1, len(one) + 1)] + other[rng.integers(len(other)):]
        text = " ".join(words)
        if not familiar.issuperset(words) and text not in HELD_OUT_QUESTIONS:
            return text


def some_words(rng: Generator) -> dict[str, str]:
    """What fills the brackets of FRAMES: nouns, or letters without a meaning."""
    return {name: pick(rng, NOUNS) if rng.random() < 0.6 else nonsense(rng)
            for name in ("word", "other_word", "third_word")}


def nonsense(rng: Generator) -> str:
    """Letters without a meaning, mostly such that they can be spoken."""
    letters = ["aeiou" if place % 2 else "bcdfghjklmnprstvwz" for place in range(rng.integers(2, 8))]
    if rng.random() < 0.3:
        letters = ["abcdefghijklmnopqrstuvwxyz"] * len(letters)
    return "".join(pick(rng, each) for each in letters)
