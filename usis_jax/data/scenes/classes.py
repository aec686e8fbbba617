"""Classes of the embedded `scenes` data set: ids, names, colours."""

CLASS_NAMES = (
    "sky",
    "building",
    "road",
    "pavement",
    "tree",
    "car",
    "person",
    "pole",
    "sign",
    "fence",
    "grass",
    "void",
)

PALETTE = (
    (70, 130, 180),
    (90, 70, 70),
    (128, 64, 128),
    (244, 35, 232),
    (35, 142, 35),
    (0, 0, 190),
    (220, 20, 60),
    (190, 190, 190),
    (230, 220, 0),
    (190, 153, 110),
    (152, 251, 152),
    (0, 0, 0),
)

(SKY, BUILDING, ROAD, PAVEMENT, TREE, CAR, PERSON, POLE, SIGN, FENCE, GRASS, VOID) = range(12)
