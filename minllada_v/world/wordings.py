"""How people ask: the wordings of every kind of question, and the ways in which people type.

This is the file to add a wording to. For each kind of question there are wordings that training draws and, behind
them, wordings that it never draws, which show whether the model has learned the words or the sentences. In curly
brackets stands what the picture decides (see `questions.py`). Some words stand for any of their SYNONYMS.

Wordings are written in lower case and without a final mark: `asking.py` puts these as people do. No wording fits two
kinds of questions.
"""

from collections.abc import Mapping

from .unrelated_questions import HELD_OUT_QUESTIONS, QUESTIONS

SYNONYMS = {
    "colour": ("colour", "color"),
    "shape": ("shape", "shape", "object", "thing", "figure"),
    "shapes": ("shapes", "shapes", "objects", "things", "figures"),
    "picture": ("picture", "picture", "image", "drawing"),
    "pictures": ("pictures", "pictures", "images", "drawings"),
    "tallest": ("tallest", "highest", "biggest", "largest", "longest"),
    "shortest": ("shortest", "smallest", "lowest"),
}

# For each kind of question those that training draws, and those that it never draws.
WORDINGS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "colour": ((
        "what colour is the {shape}", "which colour is the {shape}", "what is the colour of the {shape}",
        "which colour does the {shape} have", "what colour does the {shape} have", "the colour of the {shape}",
        "{shape} colour", "tell me the colour of the {shape}", "name the colour of the {shape}",
        "the {shape} is what colour", "what colour has the {shape}", "can you see which colour the {shape} is",
        "say which colour the {shape} has", "what colour is the {shape} in the picture",
        "in this picture, what is the colour of the {shape}", "can you tell me the colour of the {shape}",
        "tell me what colour the {shape} is", "the {shape}, what colour is that", "in which colour is the {shape}",
    ), (
        "can you tell me what colour the {shape} is", "which colour has the {shape} in this picture",
        "colour of the {shape}", "give me the colour of the {shape}", "what is the colour of that {shape}",
    )),
    "shape": ((
        "what is the {colour} shape", "which shape is {colour}", "what shape is {colour}", "what is {colour}",
        "what {colour} shape is there", "which {colour} shape do you see", "{colour} shape",
        "name the {colour} shape", "tell me what the {colour} shape is", "what kind of shape is {colour}",
        "what is the {colour} one", "what kind of shape is the {colour} one", "which shape has the colour {colour}",
        "say what is {colour}", "what is {colour} in the picture", "can you see what the {colour} shape is",
        "what shape is the {colour} one", "tell me what is {colour}", "the {colour} shape is what",
    ), (
        "which shape is the {colour} one", "what kind of shape has the colour {colour}",
        "tell me which shape is {colour}", "what {colour} shape can you see",
        "can you tell me what the {colour} shape is",
    )),
    "count": ((
        "how many {things} are there", "how many {things} do you see", "how many {things} can you see",
        "how many {things} are in the picture", "count the {things}", "count all {things}",
        "what is the number of {things}", "how many {things} does the picture have",
        "how many {things} does the picture show", "number of {things}", "tell me how many {things} there are",
        "count the {things} in the picture", "how many {things}", "can you see how many {things} there are",
        "say how many {things} you see", "how many {things} have you found", "are there {things}, and how many",
    ), (
        "can you count the {things}", "tell me the number of {things}", "how many {things} are in this picture",
        "how many {things} can you find", "can you tell me how many {things} there are",
    )),
    "yes_no": ((
        "is there a {thing}", "is there any {thing}", "can you see a {thing}", "do you see a {thing}",
        "does the picture have a {thing}", "does the picture show a {thing}", "is a {thing} in the picture",
        "are there any {thing}s", "tell me if there is a {thing}", "can you see any {thing}", "is a {thing} there",
        "do you see any {thing}s", "can you find a {thing}", "any {thing}s", "is there a {thing} in the picture",
        "i wonder if there is a {thing}", "have you found a {thing}",
    ), (
        "is there a {thing} in this picture", "do you see any {thing}", "tell me if you see a {thing}",
        "does this picture show a {thing}", "is there a {thing} to see",
    )),
    "is_it": ((
        "is the {shape} {colour}", "does the {shape} have the colour {colour}",
        "is the colour of the {shape} {colour}", "is {colour} the colour of the {shape}",
        "tell me if the {shape} is {colour}", "the {shape}, is it {colour}", "is the {shape} in the picture {colour}",
        "is it true that the {shape} is {colour}", "can you see if the {shape} is {colour}",
        "would you say the {shape} is {colour}", "the {shape} is {colour}, isn't it",
        "do you see if the {shape} is {colour}", "i wonder if the {shape} is {colour}",
    ), (
        "would you say that the {shape} is {colour}", "is the {shape} {colour} in this picture",
        "can you tell me if the {shape} is {colour}", "is it true that the colour of the {shape} is {colour}",
    )),
    "where": ((
        "from the {other}, where is the {shape}", "where is the {shape} from the {other}",
        "on which side of the {other} is the {shape}", "seen from the {other}, where is the {shape}",
        "which side of the {other} is the {shape} on", "where is the {shape}, seen from the {other}",
        "is the {shape} left, right, above or below the {other}", "tell me where the {shape} is from the {other}",
        "compared to the {other}, where is the {shape}", "where is the {shape} compared to the {other}",
        "where does the {shape} stand, seen from the {other}", "in which direction from the {other} is the {shape}",
        "say on which side of the {other} the {shape} is", "where do you see the {shape} from the {other}",
        "can you see on which side of the {other} the {shape} is",
    ), (
        "tell me on which side of the {other} the {shape} is", "seen from the {other}, where does the {shape} stand",
        "compared to the {other}, where do you see the {shape}", "on what side of the {other} is the {shape}",
    )),
    "is_side": ((
        "is the {shape} {side} the {other}", "does the {shape} stand {side} the {other}",
        "tell me if the {shape} is {side} the {other}", "the {shape} is {side} the {other}, isn't it",
        "can you see if the {shape} is {side} the {other}", "is it true that the {shape} is {side} the {other}",
        "do you see the {shape} {side} the {other}", "would you say the {shape} is {side} the {other}",
        "is the {shape} in the picture {side} the {other}", "{side} the {other}, is that the {shape}",
        "i wonder if the {shape} is {side} the {other}", "seen from the {other}, is the {shape} {side} it",
    ), (
        "do you see if the {shape} is {side} the {other}", "would you say that the {shape} is {side} the {other}",
        "can you tell me if the {shape} is {side} the {other}", "is the {shape} {side} the {other} in this picture",
    )),
    "place": ((
        "where is the {shape}", "in which corner is the {shape}", "where in the picture is the {shape}",
        "where can you see the {shape}", "where do you see the {shape}", "what is the place of the {shape}",
        "in which part of the picture is the {shape}", "tell me where the {shape} is", "find the {shape}",
        "where can i find the {shape}", "show me where the {shape} is", "which corner is the {shape} in",
        "the {shape} is where", "where does the {shape} stand", "say in which corner the {shape} is",
        "the place of the {shape}", "have you found the {shape}",
    ), (
        "can you tell me where the {shape} is", "in which corner of the picture is the {shape}",
        "where is the {shape} in this picture", "can you find the {shape}", "tell me in which corner the {shape} is",
    )),
    "at": ((
        "what is at the {row} {column}", "what is in the {row} {column} corner",
        "which shape is at the {row} {column}", "what do you see at the {row} {column}",
        "what stands at the {row} {column}", "{row} {column}", "what can you see in the {row} {column} corner",
        "name the shape at the {row} {column}", "tell me what is at the {row} {column}", "the {row} {column} corner",
        "what shape is in the {row} {column} corner", "at the {row} {column}, what is there",
        "what does the picture show at the {row} {column}", "is there a shape at the {row} {column}",
        "say what stands in the {row} {column} corner",
    ), (
        "which shape is in the {row} {column} corner", "what can you see at the {row} {column}",
        "what shape stands at the {row} {column}", "tell me what you see in the {row} {column} corner",
    )),
    "number": ((
        "what number is this", "which number is this", "what number do you see", "which number is in the picture",
        "what number is written here", "read the number", "what is the number", "tell me the number",
        "which number can you see", "the number in the picture", "which number is shown", "number",
        "what number does the picture show", "read this number", "what is written here", "say the number",
        "can you see which number it is",
    ), (
        "can you read the number", "which number is written in the picture", "what number can you see",
        "tell me which number this is", "name the number in this picture",
    )),
    "bars": ((
        "which bar is {most}", "which bar is the {most}", "what colour is the {most} bar", "which is the {most} bar",
        "what is the colour of the {most} bar", "name the {most} bar", "the {most} bar", "what is the {most} bar",
        "tell me which bar is the {most}", "show me the {most} bar", "which of the bars is the {most}",
        "which colour has the {most} bar", "can you see which bar is {most}", "of all bars, which is {most}",
        "which colour is the {most} bar", "say which bar is {most}",
    ), (
        "which bar is the {most} one", "the {most} bar is which colour", "tell me the colour of the {most} bar",
        "find the {most} bar", "in this picture, which bar is {most}",
    )),
    "describe": ((
        "describe the picture", "what is in the picture", "what do you see", "what can you see",
        "what does the picture show", "tell me what you see", "what is this", "what is shown here",
        "say what is in the picture", "list the shapes", "which shapes are there", "which shapes do you see",
        "what shapes are in the picture", "name all shapes", "describe what you see", "what is there",
        "describe this picture", "what is on the picture", "what is here", "tell me about the picture",
    ), (
        "can you describe the picture", "tell me what is in the picture", "what can you see in this picture",
        "describe all shapes", "list what you see",
    )),
    "difference": ((
        "what differs", "what is different", "what has changed", "what changed", "which shape has changed",
        "what is the difference", "find the difference", "how do the pictures differ",
        "how do the two pictures differ", "compare the pictures", "what is new in the second picture",
        "what is not the same", "tell me the difference", "where do the pictures differ",
        "what is different in the second picture", "can you see what has changed",
    ), (
        "can you see the difference", "tell me what changed", "how do the two pictures compare",
        "find what is different", "which shape is different in the second picture",
    )),
    "motion": ((
        "which way does the {shape} move", "where does the {shape} move", "in which direction does the {shape} move",
        "which way is the {shape} moving", "where is the {shape} going", "how does the {shape} move",
        "tell me which way the {shape} moves", "to which side does the {shape} move", "where does the {shape} go",
        "what is the direction of the {shape}", "does the {shape} move up, down, left or right",
        "what does the {shape} do", "say where the {shape} goes", "can you see which way the {shape} moves",
        "in which direction is the {shape} going",
    ), (
        "in which direction is the {shape} moving", "which way does the {shape} go",
        "tell me where the {shape} moves", "where is the {shape} moving", "which way is the {shape} going",
    )),
    # What follows leans on the turn before.
    "and": ((
        "and the {this}", "what about the {this}", "how about the {this}", "and what about the {this}",
        "now the {this}", "and for the {this}", "the {this}", "ok, and the {this}", "then the {this}",
        "the same for the {this}", "and now the {this}", "the {this} too", "also the {this}",
    ), (
        "ok, what about the {this}", "and how about the {this}", "now what about the {this}", "and the {this} too",
    )),
    "and_a": ((
        "and a {thing}", "what about a {thing}", "how about a {thing}", "or a {thing}", "ok, and a {thing}",
        "and any {thing}", "is there also a {thing}", "and do you see a {thing}", "then a {thing}",
    ), (
        "and what about a {thing}", "ok, what about a {thing}", "and is there a {thing}",
    )),
    "of_them": ((
        "how many of them are {colour}", "how many of those are {colour}", "and how many are {colour}",
        "how many are {colour}", "how many of these are {colour}", "of them, how many are {colour}",
        "and the {colour} ones, how many are there", "how many of them have the colour {colour}",
    ), (
        "and how many of them are {colour}", "of those, how many are {colour}",
        "how many of these have the colour {colour}",
    )),
    "where_it": ((
        "where is it", "and where is it", "in which corner is it", "where do you see it", "tell me where it is",
        "where does it stand", "where can i find it", "ok, where is it",
    ), (
        "and in which corner is it", "where can you see it", "and where does it stand",
    )),
    "colour_it": ((
        "what colour is it", "and what colour is it", "which colour does it have", "what is its colour",
        "tell me its colour", "and its colour", "which colour is it", "in which colour is it",
    ), (
        "and which colour is it", "what colour does it have", "tell me what colour it is",
    )),
    "side_it": ((
        "from it, where is the {shape}", "where is the {shape} from it", "on which side of it is the {shape}",
        "and where is the {shape}, seen from it", "seen from it, where is the {shape}",
        "and on which side of it is the {shape}",
    ), (
        "and where is the {shape} from it", "and from it, where is the {shape}",
    )),
    "unknown": (QUESTIONS, HELD_OUT_QUESTIONS),
}
