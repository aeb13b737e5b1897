import sys
import unittest

sys.path.insert(0, "program")
from cli import convert  # noqa: E402
from numerals import from_roman  # noqa: E402


class FromRoman(unittest.TestCase):
    def test_small_letters(self):
        self.assertEqual(from_roman("xiv"), 14)

    def test_spaces_around(self):
        self.assertEqual(from_roman(" XIV "), 14)

    def test_nothing(self):
        self.assertRaises(ValueError, from_roman, "")

    def test_four_in_a_row(self):
        self.assertRaises(ValueError, from_roman, "IIII")

    def test_wrong_order(self):
        self.assertRaises(ValueError, from_roman, "IC")

    def test_twice_five(self):
        self.assertRaises(ValueError, from_roman, "VV")

    def test_other_letters(self):
        self.assertRaises(ValueError, from_roman, "ABC")

    def test_too_many_thousands(self):
        self.assertRaises(ValueError, from_roman, "MMMM")


class Convert(unittest.TestCase):
    def test_a_number(self):
        self.assertEqual(convert("2026"), "MMXXVI")

    def test_a_numeral(self):
        self.assertEqual(convert("MMXXVI"), "2026")

    def test_a_negative_number(self):
        self.assertRaises(ValueError, convert, "-1")

    def test_a_word(self):
        self.assertRaises(ValueError, convert, "hello")
