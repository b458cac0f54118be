"""Chinese captions with their measure words; true of their scenes as the English ones are."""

from __future__ import annotations

import random

from .scene import Still, Thing, View, relation_between
from .worlds import zone_of

NUMBERS = {1: "一", 2: "两", 3: "三", 4: "四", 5: "五"}
COLOURS = {
    "red": "红色", "orange": "橙色", "yellow": "黄色", "green": "绿色", "blue": "蓝色", "purple": "紫色",
    "pink": "粉色", "brown": "棕色", "black": "黑色", "white": "白色", "gray": "灰色",
}  # fmt: skip
OTHER_COLOURS = {"pink": ("粉色", "粉红色"), "brown": ("棕色", "褐色"), "orange": ("橙色", "橘色"), "red": ("红色",)}
BACKGROUNDS = {
    "white": "白色", "cream": "米色", "light blue": "浅蓝色", "light green": "浅绿色", "lavender": "淡紫色",
    "gray": "灰色", "dark blue": "深蓝色", "black": "黑色",
}  # fmt: skip
# Measure word, then names; the first is what the exam says.
NOUNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "circle": ("个", ("圆形", "圆")), "square": ("个", ("正方形", "方块")), "triangle": ("个", ("三角形",)),
    "cross": ("个", ("十字", "加号")), "heart": ("颗", ("爱心", "心")), "ring": ("个", ("圆环", "环")),
    "star": ("颗", ("星星", "五角星")), "moon": ("个", ("月亮", "弯月")), "sun": ("个", ("太阳",)),
    "cloud": ("朵", ("云", "云朵")), "tree": ("棵", ("树", "树木")), "flower": ("朵", ("花", "花朵")),
    "leaf": ("片", ("叶子", "树叶")), "mushroom": ("朵", ("蘑菇",)), "apple": ("个", ("苹果",)),
    "pear": ("个", ("梨", "梨子")), "cactus": ("棵", ("仙人掌",)), "fish": ("条", ("鱼",)),
    "cat": ("只", ("猫", "猫咪")), "dog": ("只", ("狗", "小狗")), "bird": ("只", ("鸟", "小鸟")),
    "duck": ("只", ("鸭子", "小鸭")), "rabbit": ("只", ("兔子", "小兔子")), "snail": ("只", ("蜗牛",)),
    "butterfly": ("只", ("蝴蝶",)), "octopus": ("只", ("章鱼",)), "car": ("辆", ("汽车", "小汽车", "轿车")),
    "bus": ("辆", ("公交车", "巴士")), "train": ("列", ("火车",)), "bicycle": ("辆", ("自行车", "单车")),
    "boat": ("艘", ("船", "帆船")), "rocket": ("枚", ("火箭",)), "plane": ("架", ("飞机",)),
    "house": ("座", ("房子", "房屋")), "cup": ("个", ("杯子", "马克杯")), "bottle": ("个", ("瓶子",)),
    "chair": ("把", ("椅子",)), "table": ("张", ("桌子",)), "lamp": ("盏", ("台灯", "灯")), "book": ("本", ("书",)),
    "key": ("把", ("钥匙",)), "umbrella": ("把", ("雨伞", "伞")), "hat": ("顶", ("帽子",)),
    "shoe": ("只", ("鞋子", "鞋", "运动鞋")), "guitar": ("把", ("吉他",)), "clock": ("个", ("闹钟", "时钟")),
    "crown": ("顶", ("王冠", "皇冠")), "ice cream": ("个", ("冰淇淋", "雪糕")),
}  # fmt: skip
OPENINGS = ("", "", "", "一张图片，画着", "图中有", "这是", "画面上有", "一张照片，上面是")
LOOSE_OPENINGS = ("", "", "", "一张图片：", "一幅画：")
STYLES = {
    "flat": ("，扁平风格", "，扁平插画", "，简洁的插画"),
    "ink": ("，墨线风格", "，漫画风格", "，带有墨线轮廓"),
    "crayon": ("，蜡笔画", "，蜡笔风格", "，用蜡笔画成"),
}
STYLE_OPENINGS = {
    "flat": ("扁平插画：", "一张简洁的插画："),
    "ink": ("墨线画：", "一张漫画："),
    "crayon": ("蜡笔画：", "一幅蜡笔画："),
}
SIDES = {
    "left of": ("左边", "左侧"),
    "right of": ("右边", "右侧"),
    "above": ("上方", "上面"),
    "below": ("下方", "下面"),
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
SPOTS = {
    (-1, -1): "左上角", (1, -1): "右上角", (-1, 1): "左下角", (1, 1): "右下角", (-1, 0): "左边", (1, 0): "右边",
    (0, -1): "上方", (0, 1): "下方", (0, 0): "中间",
}  # fmt: skip
PLACES = {
    "beach": ("海滩", "沙滩", "热带海滩", "海边"),
    "mountains": ("山", "群山", "山脉", "高山风景"),
    "city": ("城市", "城市街道", "高楼林立的城市"),
    "forest": ("森林", "松树林", "树林"),
    "sea": ("大海", "海面", "海洋"),
    "space": ("太空", "宇宙", "星空和行星", "布满星星的太空"),
    "meadow": ("草地", "草原", "开满鲜花的草地", "花田"),
    "snow": ("雪地", "雪景", "冬天的雪地", "冬日风景"),
}
OVER = {
    "beach": ("热带海滩上", "海滩上", "沙滩上"), "mountains": ("群山上", "山上"), "city": ("城市上空", "城市里"),
    "forest": ("森林上空", "森林里"), "sea": ("海上", "海面上", "大海上"), "meadow": ("草地上", "草原上"),
    "snow": ("雪地上", "雪原上"),
}  # fmt: skip
WHERE = {
    "beach": ("海滩上", "沙滩上", "热带海滩上"), "mountains": ("山里", "群山前"),
    "city": ("城市里", "城市街道上", "马路上"),
    "forest": ("森林里", "树林里"), "sea": ("海上", "海面上", "大海里"), "space": ("太空中", "宇宙中", "星空里"),
    "meadow": ("草地上", "草原上"), "snow": ("雪地里", "雪地上"),
}  # fmt: skip
ABOVE = {
    "beach": "海滩上空", "mountains": "群山上空", "city": "城市上空", "forest": "森林上空", "sea": "海面上空",
    "meadow": "草地上空", "snow": "雪地上空",
}  # fmt: skip
TIMES = {"day": ("白天", "白天里"), "sunset": ("日落时分", "傍晚", "黄昏", "日落时"), "night": ("夜晚", "夜里", "晚上")}
CLEAR_TIMES = {
    "day": ("晴天", "晴朗的白天", "阳光下", "蓝天下"),
    "sunset": ("日落时分", "夕阳下", "黄昏", "傍晚"),
    "night": ("晴朗的夜晚", "月光下", "星空下", "夜晚"),
}
WEATHERS = {
    "cloudy": ("多云", "阴天"),
    "rain": ("下雨", "雨中"),
    "snow": ("下雪", "雪中"),
    "fog": ("有雾", "大雾中"),
}
WEATHER_TIMES = {
    "cloudy": {"day": "多云的白天", "sunset": "多云的傍晚", "night": "多云的夜晚"},
    "rain": {"day": "下雨的白天", "sunset": "下雨的傍晚", "night": "雨夜"},
    "snow": {"day": "下雪的白天", "sunset": "下雪的傍晚", "night": "雪夜"},
    "fog": {"day": "有雾的白天", "sunset": "有雾的傍晚", "night": "有雾的夜晚"},
}
WEATHER_SENTENCES = {
    "clear": ("天空晴朗", "天上没有云"), "cloudy": ("天上有云", "天空多云"), "rain": ("天正下着雨", "正在下雨"),
    "snow": ("天正下着雪", "正在下雪"), "fog": ("到处是雾", "雾很大"),
}  # fmt: skip
PALMS = ("，有棕榈树", "，还有棕榈树", "，岸边有棕榈树")
SCENIC = ("", "", "", "美丽的", "宁静的", "安静的")


def caption(scene: Still | View, rng: random.Random) -> str:
    """One or two sentences."""
    clauses = still_caption(scene, rng) if isinstance(scene, Still) else view_caption(scene, rng)
    draw = rng.random()
    if draw < 0.12:
        clauses = rng.choice(STYLE_OPENINGS[scene.style]) + clauses
    else:
        # What begins with a number is a thing and no sentence: only that can follow "there is".
        things = clauses[0] in NUMBERS.values() and "在" not in clauses and "有" not in clauses
        clauses = (rng.choice(OPENINGS) if things else rng.choice(LOOSE_OPENINGS)) + clauses
        if draw < 0.24:
            clauses += rng.choice(STYLES[scene.style])
    return clauses + ("。" if rng.random() < 0.4 and not clauses.endswith("。") else "")


def colour_word(thing: Thing, rng: random.Random) -> str:
    return rng.choice(OTHER_COLOURS.get(thing.colour, (COLOURS[thing.colour],)))


def name(thing: Thing, rng: random.Random, coloured: bool, sized: bool = False, count: int = 1) -> str:
    """As 一只红色的猫; sizes as 一只小的红色的猫 would be stiff, so 很小的 comes first."""
    measure, nouns = NOUNS[thing.kind]
    size = {"small": "很小的", "large": "很大的"}.get(thing.size_word, "") if sized else ""
    colour = f"{colour_word(thing, rng)}的" if coloured else ""
    plain = [noun for noun in nouns if not noun.startswith("小")] if sized else nouns
    return f"{NUMBERS[count]}{measure}{size}{colour}{rng.choice(plain)}"


def still_caption(scene: Still, rng: random.Random) -> str:
    things = scene.things
    coloured = rng.random() < 0.85
    looks = {thing.look for thing in things}
    if len(things) == 1:
        across, down = (-1 if c < 13 else 1 if c > 19 else 0 for c in things[0].centre)
        body = name(things[0], rng, coloured, sized=rng.random() < 0.4)
        if rng.random() < 0.3:
            body = f"{body}，在画面{SPOTS[across, down]}"
    elif len(looks) == 1:
        body = name(things[0], rng, coloured, count=len(things))
    elif len(things) == 2:
        body = pair_body(things, rng, coloured)
    else:
        names = [name(thing, rng, coloured) for thing in rng.sample(things, len(things))]
        body = f"{'、'.join(names[:-1])}和{names[-1]}"
    if rng.random() < 0.3:
        ground = BACKGROUNDS[scene.background]
        body += rng.choice((f"，{ground}背景", f"，背景是{ground}的", f"。背景是{ground}的。"))
    return body


def pair_body(things: tuple[Thing, ...], rng: random.Random, coloured: bool) -> str:
    first, second = things if rng.random() < 0.5 else things[::-1]
    sized = first.size_word != second.size_word and rng.random() < 0.5
    one, other = (name(thing, rng, coloured, sized) for thing in (first, second))
    draw = rng.random()
    if draw < 0.3:
        return f"{one}和{other}"
    relation = relation_between(first, second)
    side, opposite = rng.choice(SIDES[relation]), rng.choice(SIDES[OPPOSITE[relation]])
    if draw < 0.6:
        return f"{one}在{other}的{side}"
    if draw < 0.8:
        return f"{other}的{side}有{one}"
    return f"{side}是{one}，{opposite}是{other}"


def when(view: View, rng: random.Random) -> str:
    if view.place == "space":
        return ""
    if view.weather == "clear":
        return rng.choice((*CLEAR_TIMES[view.time], *TIMES[view.time][:1]))
    if rng.random() < 0.6:
        return WEATHER_TIMES[view.weather][view.time]
    return f"{rng.choice(TIMES[view.time])}{rng.choice(WEATHERS[view.weather])}" if rng.random() < 0.6 else rng.choice(
        WEATHERS[view.weather]
    )  # fmt: skip


def view_caption(view: View, rng: random.Random) -> str:
    trees = rng.choice(PALMS) if view.palms and rng.random() < 0.9 else ""
    time = when(view, rng)
    if view.things:
        thing = name(view.things[0], rng, rng.random() < 0.9)
        place = place_of_thing(view, rng)
        form = rng.choice(("{thing}在{place}，{time}", "{time}，{place}有{thing}", "{time}{place}的{thing}"))
        text = form.format(thing=thing, place=place, time=time)
        return text.strip("，").replace("，，", "，") + trees
    if view.time == "sunset" and view.weather == "clear" and rng.random() < 0.4:
        return f"{rng.choice(OVER[view.place])}{rng.choice(('美丽的', '美丽的', '金色的', '红色的', '的'))}日落{trees}"
    place = rng.choice(SCENIC) + rng.choice(PLACES[view.place])
    if rng.random() < 0.2 and view.place != "space":
        return f"{rng.choice(TIMES[view.time][:1])}的{place}{trees}。{rng.choice(WEATHER_SENTENCES[view.weather])}。"
    return (f"{time}的{place}" if time else place) + trees


def place_of_thing(view: View, rng: random.Random) -> str:
    zone = zone_of(view)
    if zone == "sky":
        return ABOVE[view.place]
    if zone == "water" and view.place == "beach":
        return rng.choice(("海滩边的海上", "海边的水面上"))
    return rng.choice(WHERE[view.place])
