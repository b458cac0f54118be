"""The colours of each layer by day, at sunset and at night, and what weather does to them."""

from __future__ import annotations

from .palette import Colour, mix

# By day, at sunset, at night.
Triple = tuple[Colour, Colour, Colour]
TIME_INDEX = {"day": 0, "sunset": 1, "night": 2}
LAYER_COLOURS: dict[str, Triple] = {
    "sky": ((78, 164, 240), (92, 58, 142), (12, 18, 56)),
    "sky low": ((206, 236, 252), (255, 158, 84), (52, 62, 122)),
    "glow": ((255, 240, 150), (255, 190, 90), (0, 0, 0)),
    "sun": ((255, 222, 60), (255, 232, 120), (0, 0, 0)),
    "moon": ((0, 0, 0), (0, 0, 0), (246, 242, 214)),
    "star": ((0, 0, 0), (0, 0, 0), (250, 246, 224)),
    "water": ((34, 128, 204), (150, 84, 136), (26, 48, 104)),
    "water low": ((66, 182, 216), (228, 128, 104), (40, 72, 130)),
    "swell": ((30, 112, 190), (128, 72, 130), (22, 42, 94)),
    "deep water": ((24, 94, 170), (104, 60, 120), (18, 34, 80)),
    "crest": ((176, 224, 244), (255, 196, 140), (104, 128, 184)),
    "foam": ((244, 250, 252), (255, 214, 184), (136, 150, 190)),
    "sand": ((244, 218, 156), (232, 166, 108), (116, 104, 100)),
    "pebble": ((206, 170, 110), (182, 116, 78), (84, 76, 80)),
    "far rock": ((158, 180, 206), (158, 104, 140), (46, 52, 92)),
    "rock": ((122, 128, 142), (118, 78, 108), (50, 54, 84)),
    "rock shade": ((98, 104, 120), (92, 60, 92), (38, 42, 70)),
    "cap": ((248, 250, 254), (255, 206, 184), (176, 184, 214)),
    "hill": ((124, 188, 92), (146, 122, 66), (34, 70, 66)),
    "far hill": ((162, 208, 134), (180, 136, 92), (44, 80, 84)),
    "grass": ((92, 172, 74), (122, 112, 54), (24, 58, 52)),
    "blossom": ((250, 104, 132), (228, 92, 100), (112, 70, 112)),
    "second blossom": ((255, 226, 92), (250, 190, 90), (124, 118, 92)),
    "pine": ((28, 96, 60), (58, 60, 52), (12, 38, 40)),
    "middle pine": ((56, 128, 80), (92, 78, 66), (18, 50, 52)),
    "far pine": ((112, 170, 128), (140, 100, 84), (28, 64, 70)),
    "trunk": ((104, 72, 48), (76, 46, 40), (34, 28, 32)),
    "moss": ((106, 150, 70), (124, 98, 56), (28, 52, 46)),
    "path": ((196, 168, 122), (192, 132, 90), (76, 76, 82)),
    "far tower": ((170, 192, 214), (172, 110, 138), (42, 46, 88)),
    "tower": ((128, 140, 164), (112, 70, 108), (32, 36, 66)),
    "second tower": ((170, 126, 110), (138, 78, 92), (44, 38, 62)),
    "window": ((214, 232, 244), (255, 208, 122), (255, 218, 112)),
    "pavement": ((190, 190, 192), (162, 124, 126), (70, 72, 88)),
    "road": ((92, 96, 106), (80, 62, 80), (36, 38, 52)),
    "dash": ((244, 240, 226), (250, 206, 160), (150, 150, 150)),
    "far drift": ((214, 230, 244), (232, 172, 172), (112, 128, 178)),
    "drift": ((248, 251, 255), (252, 212, 200), (158, 172, 212)),
    "drift load": ((250, 252, 255), (255, 216, 204), (166, 178, 216)),
    "planet": ((232, 150, 88),) * 3,
    "planet shade": ((200, 116, 72),) * 3,
    "ring": ((244, 214, 162),) * 3,
    "small planet": ((176, 182, 200),) * 3,
    "crater": ((136, 142, 164),) * 3,
    "palm leaf": ((26, 132, 62), (40, 66, 48), (10, 48, 40)),
    "palm shade": ((18, 100, 52), (28, 48, 42), (8, 36, 34)),
    "palm trunk": ((134, 92, 56), (84, 48, 44), (40, 32, 36)),
    "cloud": ((250, 252, 254), (255, 190, 150), (92, 100, 142)),
    "rain cloud": ((146, 156, 172), (142, 102, 128), (54, 58, 86)),
    "snow cloud": ((216, 224, 234), (226, 176, 178), (104, 112, 146)),
    "drop": ((206, 226, 244), (226, 196, 204), (140, 160, 200)),
    "flake": ((255, 255, 255), (255, 240, 234), (226, 232, 248)),
    "mist": ((226, 232, 236), (236, 196, 174), (112, 122, 152)),
}
SPACE_SKY = {"sky": (14, 12, 40), "sky low": (58, 34, 92)}
# The grey that weather mixes in by day, at sunset and at night, with its share in the sky's top, low sky, and land.
GREY: dict[str, tuple[Triple, tuple[float, float, float]]] = {
    "cloudy": (((170, 186, 204), (140, 108, 140), (44, 50, 84)), (0.6, 0.2, 0.06)),
    "rain": (((104, 118, 138), (92, 72, 104), (28, 32, 54)), (0.82, 0.5, 0.26)),
    "snow": (((192, 204, 218), (176, 140, 164), (76, 86, 124)), (0.8, 0.45, 0.16)),
    "fog": (((214, 222, 228), (216, 172, 164), (92, 102, 134)), (0.75, 0.5, 0.1)),
}
CLOUD_LAYER = {"cloudy": "cloud", "rain": "rain cloud", "snow": "snow cloud"}


def layer_colour(name: str, place: str, time: str, weather: str) -> Colour:
    if place == "space" and name in SPACE_SKY:
        return SPACE_SKY[name]
    colour = LAYER_COLOURS[name][TIME_INDEX[time]]
    if weather == "clear" or name in ("cloud", "rain cloud", "snow cloud", "drop", "flake", "mist", "window"):
        return colour
    greys, (high, low, land) = GREY[weather]
    share = high if name == "sky" else low if name == "sky low" else land
    return mix(colour, greys[TIME_INDEX[time]], share)


def body_of(place: str, time: str, weather: str) -> str:
    """What shines in the sky: nothing through clouds."""
    if weather != "clear" or place == "space":
        return "none"
    return {"day": "sun", "sunset": "setting sun", "night": "moon"}[time]
