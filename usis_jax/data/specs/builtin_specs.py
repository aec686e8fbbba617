"""Label specs that come with the package; words of a list are classes, "_" stands for a space."""

import dataclasses

from usis_jax.data.scenes import classes
from usis_jax.data.specs import spec_mapping
from usis_jax.data.specs.label_spec import LabelSpec

_ADE20K = """
wall building sky floor tree ceiling road bed windowpane grass cabinet sidewalk person earth
door table mountain plant curtain chair car water painting sofa shelf house sea mirror rug field
armchair seat fence desk rock wardrobe lamp bathtub railing cushion base box column signboard
chest_of_drawers counter sand sink skyscraper fireplace refrigerator grandstand path stairs
runway case pool_table pillow screen_door stairway river bridge bookcase blind coffee_table
toilet flower book hill bench countertop stove palm kitchen_island computer swivel_chair boat
bar arcade_machine hovel bus towel light truck tower chandelier awning streetlight booth
television airplane dirt_track apparel pole land bannister escalator ottoman bottle buffet
poster stage van ship fountain conveyer_belt canopy washer plaything swimming_pool stool barrel
basket waterfall tent bag minibike cradle oven ball food step tank trade_name microwave pot
animal bicycle lake dishwasher screen blanket sculpture hood sconce vase traffic_light tray
ashcan fan pier crt_screen plate monitor bulletin_board shower radiator glass clock flag
"""

_ADE20K_PALETTE = """
787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d
787846 08ff33 ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0
0907e6 dcdcdc ff095c 7009ff 08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06
ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00
ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff 0bc8c8 ff5200 00fff5 003dff 00ff70
00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad 0a00ff adff00 00ff99
ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 00ff52
000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00
08b8aa 8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff
9900ff 47ff00 ff00a3 ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00
00ccff 1400ff ffff00 0099ff 0029ff 00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8
005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff
"""

_COCO_STUFF = """
person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant
street_sign stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra
giraffe hat backpack umbrella shoe eye_glasses handbag tie suitcase frisbee skis snowboard
sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle plate
wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza
donut cake chair couch potted_plant bed mirror dining_table window desk toilet door tv laptop
mouse remote keyboard cell_phone microwave oven toaster sink refrigerator blender book clock
vase scissors teddy_bear hair_drier toothbrush hair_brush banner blanket branch bridge
building-other bush cabinet cage cardboard carpet ceiling-other ceiling-tile cloth clothes
clouds counter cupboard curtain desk-stuff dirt door-stuff fence floor-marble floor-other
floor-stone floor-tile floor-wood flower fog food-other fruit furniture-other grass gravel
ground-other hill house leaves light mat metal mirror-stuff moss mountain mud napkin net paper
pavement pillow plant-other plastic platform playingfield railing railroad river road rock roof
rug salad sand sea shelf sky-other skyscraper snow solid-other stairs stone straw
structural-other table tent textile-other towel tree vegetable wall-brick wall-concrete
wall-other wall-panel wall-stone wall-tile wall-wood water-other waterdrops window-blind
window-other wood
"""

_CITYSCAPES = """
unlabeled ego_vehicle rectification_border out_of_roi static dynamic ground road sidewalk parking
rail_track building wall fence guard_rail bridge tunnel pole polegroup traffic_light traffic_sign
vegetation terrain sky person rider car truck bus caravan trailer train motorcycle bicycle
license_plate
"""

# Classes that the benchmark scores; the others are void to it.
_CITYSCAPES_SCORED = """
road sidewalk building wall fence pole traffic_light traffic_sign vegetation terrain sky person
rider car truck bus train motorcycle bicycle
"""

_CITYSCAPES_PALETTE = (
    (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (111, 74, 0), (81, 0, 81),
    (128, 64, 128), (244, 35, 232), (250, 170, 160), (230, 150, 140), (70, 70, 70),
    (102, 102, 156), (190, 153, 153), (180, 165, 180), (150, 100, 100), (150, 120, 90),
    (153, 153, 153), (153, 153, 153), (250, 170, 30), (220, 220, 0), (107, 142, 35),
    (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70),
    (0, 60, 100), (0, 0, 90), (0, 0, 110), (0, 80, 100), (0, 0, 230), (119, 11, 32), (0, 0, 142),
)  # fmt: skip


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


def _colours(text: str) -> tuple[tuple[int, int, int], ...]:
    return tuple(tuple(bytes.fromhex(word)) for word in text.split())


def _first_of_each(palette) -> dict[tuple[int, int, int], int]:
    """First class of each colour, for colour files that do not tell the others from it."""
    return {colour: palette.index(colour) for colour in palette}


SCENES = LabelSpec("scenes", classes.CLASS_NAMES, classes.PALETTE, void=classes.VOID)

# Brostow et al. 2009 in the version with 11 classes; ids of files are train ids.
CAMVID = LabelSpec(
    "camvid",
    _words("sky building pole road pavement tree sign fence car pedestrian bicyclist void"),
    (
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222),
        (128, 128, 0), (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
        (0, 0, 0),
    ),
    void=11,
)  # fmt: skip

# CelebAMask-HQ (Lee et al. 2020); left and right change places in a mirrored face.
FACES = LabelSpec(
    "faces",
    _words(
        "background skin nose eyeglasses left_eye right_eye left_brow right_brow left_ear "
        "right_ear mouth upper_lip lower_lip hair hat earring necklace neck cloth"
    ),
    (
        (0, 0, 0), (204, 160, 130), (76, 153, 0), (204, 204, 0), (51, 51, 255), (0, 170, 255),
        (255, 204, 204), (255, 120, 120), (102, 51, 0), (170, 90, 0), (102, 204, 0),
        (255, 255, 0), (255, 0, 0), (90, 50, 30), (0, 0, 204), (255, 51, 153), (0, 204, 204),
        (220, 190, 90), (0, 102, 51),
    ),
    flip_pairs=((4, 5), (6, 7), (8, 9)),
)  # fmt: skip

# Source: Cordts et al. 2016; names, ids and colours of its cityscapesScripts. K = 35 as in the
# published synthesis work: all ids are classes, "unlabeled" alone is void. A license plate is -1 in
# the list, is not drawn in *_labelIds.png, and is 34 in GTA-V's files. In colour files some
# colours stand for several classes: black is read as unlabeled, (153, 153, 153) as pole and
# (0, 0, 142) as car.
CITYSCAPES = LabelSpec(
    "cityscapes",
    _words(_CITYSCAPES),
    _CITYSCAPES_PALETTE,
    void=0,
    file_ids=(*((i, i) for i in range(35)), (-1, 34), (255, 34)),
    file_colours=_first_of_each(_CITYSCAPES_PALETTE),
)

# Richter et al. 2016, "Playing for Data": ids and colours of Cityscapes.
GTA5 = dataclasses.replace(CITYSCAPES, name="gta5")

# The 19 classes of Cityscapes' benchmark in the order of its train ids, read from *_labelIds.png.
CITYSCAPES_19 = spec_mapping.through(
    CITYSCAPES,
    LabelSpec(
        "cityscapes19",
        (*_words(_CITYSCAPES_SCORED), "void"),
        (
            *(CITYSCAPES.palette[CITYSCAPES.classes.index(c)] for c in _words(_CITYSCAPES_SCORED)),
            (0, 0, 0),
        ),
        void=19,
    ),
)

# Zhou et al. 2017, scene parsing challenge (objectInfo150, color150): 0 is everything outside its
# 150 classes; names are the first of each line.
ADE20K = LabelSpec(
    "ade20k",
    ("other", *_words(_ADE20K)),
    ((0, 0, 0), *_colours(_ADE20K_PALETTE)),
    void=0,
)

# Caesar et al. 2018: ids of stuffthingmaps, which are those of the published list minus one, 255
# where nothing is labelled. It has no published colours. 11 of the classes do not occur. Train ids
# are the published code's: those of the files plus one, and 0 for 255.
COCO_STUFF = LabelSpec(
    "coco_stuff",
    ("unlabeled", *_words(_COCO_STUFF)),
    void=0,
    file_ids=((255, 0), *((i, i + 1) for i in range(182))),
)

SPECS = {
    spec.name: spec
    for spec in (SCENES, CAMVID, FACES, CITYSCAPES, CITYSCAPES_19, GTA5, ADE20K, COCO_STUFF)
}
