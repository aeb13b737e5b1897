"""Roman numerals, 1 to 3999."""

PARTS = [
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"),
    (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
]


def to_roman(number):
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError("a whole number is needed")
    if not 1 <= number <= 3999:
        raise ValueError(f"{number} has no Roman numeral")
    text = ""
    for value, letters in PARTS:
        count, number = divmod(number, value)
        text += letters * count
    return text


def from_roman(text):
    number, rest = 0, text.strip().upper()
    for value, letters in PARTS:
        while rest.startswith(letters):
            number, rest = number + value, rest[len(letters):]
    # Whatever is written in another way than it should be is refused.
    if rest or not number or number > 3999 or to_roman(number) != text.strip().upper():
        raise ValueError(f"{text!r} is no Roman numeral")
    return number
