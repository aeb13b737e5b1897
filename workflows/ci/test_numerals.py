import sys
import unittest

sys.path.insert(0, "program")
from numerals import from_roman, to_roman  # noqa: E402


class ToRoman(unittest.TestCase):
    def test_one(self):
        self.assertEqual(to_roman(1), "I")

    def test_four(self):
        self.assertEqual(to_roman(4), "IV")

    def test_nine(self):
        self.assertEqual(to_roman(9), "IX")

    def test_forty(self):
        self.assertEqual(to_roman(40), "XL")

    def test_ninety(self):
        self.assertEqual(to_roman(90), "XC")

    def test_four_hundred(self):
        self.assertEqual(to_roman(400), "CD")

    def test_nine_hundred(self):
        self.assertEqual(to_roman(900), "CM")

    def test_a_year(self):
        self.assertEqual(to_roman(1987), "MCMLXXXVII")

    def test_the_last(self):
        self.assertEqual(to_roman(3999), "MMMCMXCIX")

    def test_zero_has_none(self):
        self.assertRaises(ValueError, to_roman, 0)

    def test_four_thousand_has_none(self):
        self.assertRaises(ValueError, to_roman, 4000)

    def test_a_half_has_none(self):
        self.assertRaises(TypeError, to_roman, 0.5)

    def test_true_is_no_number(self):
        self.assertRaises(TypeError, to_roman, True)


class Both(unittest.TestCase):
    def test_every_number_comes_back(self):
        for number in range(1, 4000):
            self.assertEqual(from_roman(to_roman(number)), number)
