# SPDX-License-Identifier: MIT
"""The WordPiece tokenizer of uncased BERT models, from its published description.

Written independently of tests/apps/wordpiece.c, on Python's Unicode tables, to check that.
"""

import unicodedata

WORD_MARK = "\u2581"
MAX_WORD_LETTERS = 100

IDEOGRAPHS = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)


def is_dropped(char):
    if char in "\t\n\r":
        return False
    return ord(char) in (0, 0xFFFD) or unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs")


def is_punctuation(char):
    code = ord(char)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(char).startswith("P")


def is_ideograph(char):
    return any(first <= ord(char) <= last for first, last in IDEOGRAPHS)


def split_words(text):
    """Lower-cased words without accents; punctuation and ideographs stand alone."""
    text = "".join(char for char in text if not is_dropped(char))
    text = "".join(f" {char} " if is_ideograph(char) else char for char in text)
    words = []
    for word in text.split():
        word = unicodedata.normalize("NFD", word.lower())
        word = "".join(char for char in word if unicodedata.category(char) != "Mn")
        current = ""
        for char in word:
            if is_punctuation(char):
                words += [current, char]
                current = ""
            else:
                current += char
        words.append(current)
    return [word for word in words if word]


class WordPiece:
    """Pieces that begin a word are stored with WORD_MARK before them, the others bare."""

    def __init__(self, tokens):
        self.ids = {token: index for index, token in enumerate(tokens)}

    def encode_word(self, word):
        if len(word) > MAX_WORD_LETTERS:
            return [self.ids["[UNK]"]]
        pieces, start = [], 0
        while start < len(word):
            mark = "" if start else WORD_MARK
            ends = range(len(word), start, -1)
            end = next((end for end in ends if mark + word[start:end] in self.ids), None)
            if end is None:
                return [self.ids["[UNK]"]]
            pieces.append(self.ids[mark + word[start:end]])
            start = end
        return pieces

    def encode(self, text, limit):
        pieces = [piece for word in split_words(text) for piece in self.encode_word(word)]
        return [self.ids["[CLS]"]] + pieces[:limit - 2] + [self.ids["[SEP]"]]
