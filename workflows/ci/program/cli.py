"""Turns what it is given round: 14 into XIV, XIV into 14."""

import sys

from numerals import from_roman, to_roman


def convert(word):
    return to_roman(int(word)) if word.lstrip("-").isdigit() else str(from_roman(word))


def main():
    try:
        print(*map(convert, sys.argv[1:]))
    except ValueError as why:
        sys.exit(str(why))
