"""The steps of warehouse.toml: extract, clean, totals, load, check."""

import csv
import os
import random
import sqlite3
import sys
from collections import defaultdict


def cents(text):
    whole, _, part = text.partition(".")
    if not whole.isdigit() or (part and not (part.isdigit() and len(part) == 2)):
        raise ValueError(f"price {text!r} is no amount of money")
    return int(whole) * 100 + int(part or 0)


def rows_of(path):
    with open(path, newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            yield number, row


def write(path, names, rows):
    """All of it or nothing: whoever reads the file never sees a part."""
    with open(f"{path}.part", "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(names)
        out.writerows(rows)
    os.replace(f"{path}.part", path)


def extract(catalog, rows, path):
    articles = [(row["article"], row["price"]) for _, row in rows_of(catalog)]
    chance = random.Random(2026)
    orders = []
    for number in range(1, int(rows) + 1):
        article, price = chance.choice(articles)
        orders.append((number, f"c{chance.randrange(400):03}", article, price, chance.randrange(1, 6)))
    write(path, ("order", "customer", "article", "price", "count"), orders)
    print(f"extracted {len(orders)} orders")


def amounts(orders):
    for number, row in rows_of(orders):
        try:
            yield row, cents(row["price"]) * int(row["count"])
        except ValueError as why:
            sys.exit(f"line {number} of the orders: {why}")


def clean(orders, path):
    rows = [(row["order"], row["customer"], row["article"], amount) for row, amount in amounts(orders)]
    write(path, ("number", "customer", "article", "cents"), rows)
    print(f"{len(rows)} clean orders")


def totals(orders, path):
    sums = defaultdict(lambda: [0, 0])
    for row, amount in amounts(orders):
        sums[row["customer"]][0] += 1
        sums[row["customer"]][1] += amount
    write(path, ("customer", "orders", "cents"), [(name, *both) for name, both in sorted(sums.items())])
    print(f"{len(sums)} customers")


def load(orders, sums, path):
    db = sqlite3.connect(path)
    with db:
        db.execute("DROP TABLE IF EXISTS orders")
        db.execute("DROP TABLE IF EXISTS totals")
        db.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, customer TEXT, article TEXT, cents INTEGER)")
        db.execute("CREATE TABLE totals (customer TEXT PRIMARY KEY, orders INTEGER, cents INTEGER)")
        fill = "INSERT INTO orders VALUES (:number, :customer, :article, :cents)"
        db.executemany(fill, (row for _, row in rows_of(orders)))
        fill = "INSERT INTO totals VALUES (:customer, :orders, :cents)"
        db.executemany(fill, (row for _, row in rows_of(sums)))
    print("loaded")


def check(path, rows):
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    count, money = db.execute("SELECT count(*), sum(cents) FROM orders").fetchone()
    orders, sums = db.execute("SELECT sum(orders), sum(cents) FROM totals").fetchone()
    print(f"{count} orders, {money / 100:.2f} in all; by customer {orders} and {sums / 100:.2f}")
    if count != int(rows):
        sys.exit(f"{rows} orders were extracted, {count} are there")
    if (orders, sums) != (count, money):
        sys.exit("the two tables differ")


if __name__ == "__main__":
    {"extract": extract, "clean": clean, "totals": totals, "load": load, "check": check}[sys.argv[1]](*sys.argv[2:])
