"""Label specs that come with the package; words of a list are classes, "_" stands for a space."""

from usis_jax.data import scene_classes
from usis_jax.data.label_spec import LabelSpec

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


SCENES = LabelSpec(
    "scenes", scene_classes.CLASS_NAMES, scene_classes.PALETTE, void=scene_classes.VOID
)

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

# Ids of *_labelIds.png; a license plate is -1, which 8 bits hold as 255.
CITYSCAPES = LabelSpec(
    "cityscapes",
    _words(_CITYSCAPES),
    _CITYSCAPES_PALETTE,
    void=0,
    file_ids=(*((i, i) for i in range(34)), (-1, 34), (255, 34)),
)

# Ids of the scene parsing challenge: 0 is everything outside its 150 classes.
ADE20K = LabelSpec("ade20k", ("other", *_words(_ADE20K)), void=0)

# Ids of stuffthingmaps: the published id minus one, 255 where nothing is labelled.
COCO_STUFF = LabelSpec(
    "coco_stuff",
    (*_words(_COCO_STUFF), "unlabeled"),
    void=182,
    file_ids=(*((i, i) for i in range(182)), (255, 182)),
)

SPECS = {spec.name: spec for spec in (SCENES, CAMVID, FACES, CITYSCAPES, ADE20K, COCO_STUFF)}
