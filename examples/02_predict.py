"""Answer for pictures with a trained run. Needs no torch.

python examples/02_predict.py runs/pets-1 photo.jpg another.png
"""

import sys

import whyconv

run = sys.argv[1] if len(sys.argv) > 1 else "runs/pets-1"
pictures = sys.argv[2:] or ["photo.jpg"]

recognizer = whyconv.open(run)
print("knows", ", ".join(recognizer.classes))

# One picture gives one answer: its labels come best first.
answer = recognizer.predict(pictures[0])
if answer.error:
    sys.exit(f"{answer.name}: {answer.error}")
best = answer.labels[0]
print(f"{answer.name}: {best.label}, probability {best.probability:.2f}")

# Many pictures give the table of probabilities, one row a picture.
probabilities = recognizer.predict_proba(pictures)
print("probabilities", probabilities.shape)
