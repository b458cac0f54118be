"""Chinese captions of illustrations, with their measure words; true of their scenes as the English ones are. What both
worlds show is said in the drawn world's own words."""

from __future__ import annotations

import random

from ..drawn_world.chinese import COLOURS, NOUNS, NUMBERS, OPPOSITE, OTHER_COLOURS, PALMS, SCENIC, SIDES
from .captions import in_order_of_naming, relation_between
from .scene import DrawnObject, Landscape, ObjectScene, Scene

BACKGROUNDS = {"white": "白色", "gray": "灰色", "black": "黑色", "light blue": "浅蓝色", "beige": "米色"}
OPENINGS = ("", "", "", "一张图片，画着", "图中有", "这是", "画面上有", "一张照片，上面是")
LOOSE_OPENINGS = ("", "", "", "一张图片：", "一幅画：")
PLACES = {
    "beach": ("海滩", "沙滩", "热带海滩", "海边"),
    "mountains": ("山", "群山", "山脉", "高山风景"),
    "meadow": ("草地", "草原", "开满鲜花的草地", "花田"),
    "snow": ("雪地", "雪景", "冬天的雪地", "冬日风景"),
}
OVER = {
    "beach": ("热带海滩上", "海滩上", "沙滩上"),
    "mountains": ("群山上", "山上"),
    "meadow": ("草地上", "草原上"),
    "snow": ("雪地上", "雪原上"),
}
TIMES = {
    "day": ("白天", "晴天", "晴朗的白天", "阳光下", "蓝天下"),
    "sunset": ("日落时分", "夕阳下", "黄昏", "傍晚"),
    "night": ("夜晚", "夜里", "月光下", "晴朗的夜晚"),
}
SMALL, LARGE = 8, 11  # sides in cells, as the English captions judge a lone object


def caption(scene: Scene, rng: random.Random) -> str:
    """A sentence of 3 to 40 characters."""
    if isinstance(scene, Landscape):
        text = rng.choice(LOOSE_OPENINGS) + landscape_caption(scene, rng)
    else:
        text = object_caption(scene, rng)
    return text + ("。" if rng.random() < 0.4 else "")


def name(thing: DrawnObject, rng: random.Random, coloured: bool, size: str = "", count: int = 1) -> str:
    """As 一个红色的圆形."""
    measure, nouns = NOUNS[thing.shape]
    colour = f"{rng.choice(OTHER_COLOURS.get(thing.colour, (COLOURS[thing.colour],)))}的" if coloured else ""
    return f"{NUMBERS[count]}{measure}{size}{colour}{rng.choice(nouns)}"


def object_caption(scene: ObjectScene, rng: random.Random) -> str:
    things = scene.objects
    looks = {(thing.shape, thing.colour) for thing in things}
    openings: tuple[str, ...] = OPENINGS
    if len(things) == 1:
        size = "很小的" if things[0].size <= SMALL else "很大的" if things[0].size >= LARGE else ""
        body = name(things[0], rng, rng.random() < 0.7, size if rng.random() < 0.4 else "")
    elif len(looks) == 1 and (len(things) > 2 or rng.random() < 0.7):
        body = name(things[0], rng, rng.random() < 0.8, count=len(things))
    else:
        body, openings = pair_caption(scene, rng)
    ground = BACKGROUNDS[scene.background]
    ending = rng.choice((f"，{ground}背景", f"，背景是{ground}的")) if rng.random() < 0.35 else ""
    return rng.choice(openings) + body + ending


def pair_caption(scene: ObjectScene, rng: random.Random) -> tuple[str, tuple[str, ...]]:
    """Both objects and mostly how they stand; and the openings that such a clause can follow."""
    draw = rng.random()
    together = draw < 0.35
    first, second = in_order_of_naming(scene, rng, together)
    coloured = rng.random() < 0.65
    one, other = (name(thing, rng, coloured) for thing in (first, second))
    if together:
        return f"{one}和{other}", OPENINGS
    relation = relation_between(scene, in_order=first is scene.objects[0])
    side, opposite = rng.choice(SIDES[relation]), rng.choice(SIDES[OPPOSITE[relation]])
    if draw < 0.65:
        return f"{one}在{other}的{side}", LOOSE_OPENINGS
    if draw < 0.83:
        return f"{other}的{side}有{one}", LOOSE_OPENINGS
    return f"{side}是{one}，{opposite}是{other}", LOOSE_OPENINGS


def landscape_caption(scene: Landscape, rng: random.Random) -> str:
    trees = rng.choice(PALMS) if scene.palms else ""
    if scene.time == "sunset" and rng.random() < 0.4:
        sunset = rng.choice(("美丽的", "美丽的", "金色的", "红色的", "的")) + "日落"
        return rng.choice(OVER[scene.place]) + sunset + trees
    place = rng.choice(SCENIC) + rng.choice(PLACES[scene.place])
    return f"{rng.choice(TIMES[scene.time])}的{place}{trees}"
