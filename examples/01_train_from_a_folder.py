"""Train a recognizer on a folder of class folders, and see how good it is.

    python examples/01_train_from_a_folder.py pets/ 1

The second word is how many minutes training may take.
"""

import sys

import whyconv

pictures = sys.argv[1] if len(sys.argv) > 1 else "pets/"
minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0

# No size, batch or learning rate to choose: they follow from the data, and run.toml says what they came to.
run = whyconv.train(pictures, minutes=minutes)

# An estimate never stands alone: it brings its 95 % interval and what the interval is over.
print("run folder       ", run.run)
print("accuracy         ", run.test.accuracy)
print("balanced accuracy", run.test.balanced_accuracy)

# Guessing the class with most pictures is what a recognizer has to beat.
print(f"always '{run.test.largest_class}' would be right on {100 * run.test.largest_class_fraction:.1f} %")

for mistake in run.test.most_confused[:3]:
    print(f"{mistake.truth} taken for {mistake.answer}: {mistake.count} times")
