"""English–Chinese sentence pairs about the same world, from one grammar written by hand for both languages.

A `Frame` pairs an English with a Chinese sentence pattern. Both are filled from one draw of people, things, places
and numbers, so that the two sentences mean the same. Chinese nouns carry their measure word (一只风筝, 三块饼干).
"""

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from course_lib.text.tiny_world.world import COLOURS, COUNTABLES, PLACES, QUALITIES, THINGS, Countable

Value = TypeVar("Value")


class Noun(NamedTuple):
    """A Chinese noun and the measure word that stands between a number and it."""

    word: str
    measure: str


PEOPLE_ZH = {
    "Mia": "米娅", "Anna": "安娜", "Lily": "莉莉", "Zoe": "佐伊", "Emma": "艾玛", "Ruby": "露比", "Nora": "诺拉",
    "Lucy": "露西", "Ivy": "艾薇", "Clara": "克拉拉", "Rosa": "罗莎", "Ella": "埃拉", "Tom": "汤姆", "Max": "马克斯",
    "Sam": "山姆", "Leo": "利奥", "Jack": "杰克", "Finn": "芬恩", "Noah": "诺亚", "Oscar": "奥斯卡", "Hugo": "雨果",
    "Adam": "亚当", "Paul": "保罗",
}  # fmt: skip
ADJECTIVES_ZH = {
    "red": "红色的", "blue": "蓝色的", "green": "绿色的", "yellow": "黄色的", "orange": "橙色的", "purple": "紫色的",
    "pink": "粉色的", "white": "白色的", "black": "黑色的", "brown": "棕色的", "golden": "金色的", "silver": "银色的",
    "little": "小", "old": "旧", "new": "新", "big": "大", "pretty": "漂亮的", "tiny": "小小的", "strange": "奇怪的",
    "lovely": "可爱的",
}  # fmt: skip
THINGS_ZH = {
    "kite": Noun("风筝", "只"), "ball": Noun("皮球", "个"), "book": Noun("书", "本"), "hat": Noun("帽子", "顶"),
    "doll": Noun("洋娃娃", "个"), "drum": Noun("鼓", "面"), "lamp": Noun("台灯", "盏"), "key": Noun("钥匙", "把"),
    "cup": Noun("杯子", "个"), "bell": Noun("铃铛", "个"), "scarf": Noun("围巾", "条"), "basket": Noun("篮子", "个"),
    "ring": Noun("戒指", "枚"), "flute": Noun("笛子", "支"), "umbrella": Noun("雨伞", "把"),
    "blanket": Noun("毯子", "条"), "map": Noun("地图", "张"), "coin": Noun("硬币", "枚"), "feather": Noun("羽毛", "根"),
    "robot": Noun("机器人", "个"), "whistle": Noun("哨子", "个"), "lantern": Noun("灯笼", "盏"),
    "puppet": Noun("木偶", "个"), "spoon": Noun("勺子", "把"), "necklace": Noun("项链", "条"),
    "mirror": Noun("镜子", "面"), "toy train": Noun("玩具火车", "列"), "paintbrush": Noun("画笔", "支"),
}  # fmt: skip
PLACES_ZH = {
    "garden": "花园", "park": "公园", "kitchen": "厨房", "bedroom": "卧室", "library": "图书馆", "beach": "海滩",
    "forest": "森林", "market": "市场", "farm": "农场", "school": "学校", "museum": "博物馆", "station": "车站",
    "attic": "阁楼", "river": "河边", "zoo": "动物园", "bakery": "面包店",
}  # fmt: skip
SPOTS_ZH = {
    "under the apple tree": "苹果树下", "behind the shed": "棚子后面", "next to the pond": "池塘旁边",
    "among the roses": "玫瑰花丛里", "under the bench": "长椅下面", "next to the fountain": "喷泉旁边",
    "behind the swings": "秋千后面", "under the table": "桌子下面", "in the cupboard": "橱柜里",
    "next to the stove": "炉子旁边", "under the bed": "床底下", "behind the curtain": "窗帘后面",
    "on the pillow": "枕头上", "under the desk": "书桌下面", "next to the globe": "地球仪旁边",
    "between two dictionaries": "两本词典之间", "in the sand": "沙子里", "behind the big rock": "大石头后面",
    "next to the rowing boat": "划艇旁边", "under the oak": "橡树下", "by the stream": "小溪边",
    "inside a hollow log": "一根空心的木头里", "behind the barrels": "木桶后面", "in the barn": "谷仓里",
    "behind the tractor": "拖拉机后面", "next to the hen house": "鸡舍旁边", "in the classroom": "教室里",
    "behind the piano": "钢琴后面", "next to the blackboard": "黑板旁边", "next to the dinosaur": "恐龙旁边",
    "behind the statue": "雕像后面", "under the clock": "大钟下面", "on the platform": "站台上",
    "next to the ticket office": "售票处旁边", "behind the rocking horse": "木马后面", "under the bridge": "桥下",
    "behind the willow": "柳树后面", "next to the monkeys": "猴子旁边", "on the counter": "柜台上",
    "next to the oven": "烤箱旁边",
}  # fmt: skip
COUNTABLES_ZH = {
    "apple": Noun("苹果", "个"), "pear": Noun("梨", "个"), "plum": Noun("李子", "个"), "cookie": Noun("饼干", "块"),
    "strawberry": Noun("草莓", "颗"), "carrot": Noun("胡萝卜", "根"), "nut": Noun("坚果", "颗"),
    "button": Noun("纽扣", "颗"), "marble": Noun("弹珠", "颗"), "shell": Noun("贝壳", "个"),
    "sticker": Noun("贴纸", "张"), "stone": Noun("石头", "块"), "candle": Noun("蜡烛", "根"), "egg": Noun("鸡蛋", "个"),
}  # fmt: skip
NUMBERS_ZH = ("零", "一", "两", "三", "四", "五", "六", "七", "八", "九")
DAYS_ZH = {
    "On Monday": "星期一", "On Tuesday": "星期二", "On Wednesday": "星期三", "On Thursday": "星期四",
    "On Friday": "星期五", "On Saturday": "星期六", "On Sunday": "星期天", "Yesterday": "昨天",
    "Yesterday evening": "昨天晚上", "This morning": "今天早上", "After school": "放学后", "After lunch": "午饭后",
    "Later": "后来",
}  # fmt: skip
FEELINGS_ZH = {
    "happy": ("很高兴", "高兴"), "proud": ("很自豪", "自豪"), "excited": ("很兴奋", "兴奋"), "sad": ("很伤心", "伤心"),
    "angry": ("很生气", "生气"), "scared": ("很害怕", "害怕"), "worried": ("很担心", "担心"),
    "bored": ("觉得很无聊", "觉得无聊"),
}  # fmt: skip
CAUSES_ZH = {
    "happy": {
        "it was {her} birthday": "那天是{her}的生日",
        "the sun was shining at last": "太阳终于出来了",
        "there was chocolate cake for tea": "下午茶有巧克力蛋糕",
        "{her} grandmother was coming to visit": "{her}的奶奶要来做客",
        "the holidays had begun": "假期开始了",
        "{she} had learned to swim": "{she}学会了游泳",
    },
    "proud": {
        "{she} had won a race": "{she}赢了一场赛跑",
        "{she} had read a whole book alone": "{she}自己读完了一整本书",
        "{she} had baked bread for the first time": "{she}第一次烤了面包",
        "{she} had climbed the highest wall": "{she}爬上了最高的墙",
        "the teacher had praised {her} poem": "老师表扬了{her}的诗",
    },
    "excited": {
        "the circus was in town": "马戏团来到了镇上",
        "there would be fireworks that night": "那天晚上会放烟花",
        "{she} was going to sleep in a tent": "{she}要在帐篷里睡觉",
        "{she} would get a puppy": "{she}会得到一只小狗",
    },
    "sad": {
        "{her} best friend had moved away": "{her}最好的朋友搬走了",
        "{her} cat was ill": "{her}的猫生病了",
        "{her} ice cream had fallen on the ground": "{her}的冰淇淋掉在地上了",
        "nobody had remembered {her} birthday": "没有人记得{her}的生日",
        "the picnic had been called off": "野餐取消了",
    },
    "angry": {
        "somebody had laughed at {her} drawing": "有人嘲笑了{her}的画",
        "{her} brother had broken {her} tower": "{her}的弟弟弄坏了{her}的塔",
        "{her} sister had eaten the last biscuit": "{her}的妹妹吃掉了最后一块饼干",
        "{she} had to go to bed early": "{she}必须早早上床睡觉",
    },
    "scared": {
        "there was a strange noise outside": "外面有奇怪的声音",
        "a large dog was barking": "一条大狗在叫",
        "it was getting very dark": "天变得很黑",
        "a storm was coming": "暴风雨要来了",
        "{she} had seen a spider": "{she}看见了一只蜘蛛",
    },
    "worried": {
        "{she} had forgotten {her} homework": "{she}忘了带作业",
        "{she} did not know the way home": "{she}不知道回家的路",
        "{her} father was late": "{her}的爸爸迟到了",
        "the goldfish did not move": "金鱼一动不动",
    },
    "bored": {
        "there was nothing to do": "没有事情可做",
        "{she} had read all {her} comics": "{she}看完了{her}所有的漫画",
    },
}
GAMES_ZH = {
    "played chess": "下了国际象棋", "played cards": "打了牌", "played football": "踢了足球",
    "played hide and seek": "玩了捉迷藏", "drew a picture": "画了一幅画", "sang a song": "唱了一首歌",
    "shared a sandwich": "分吃了一个三明治", "talked about the moon": "聊了月亮", "fed the ducks": "喂了鸭子",
}  # fmt: skip
WEATHER_ZH = {"sunny": "晴朗", "windy": "刮风", "cold": "寒冷", "warm": "温暖", "foggy": "有雾", "quiet": "安静"}
HOURS_ZH = {"morning": "早晨", "afternoon": "下午", "evening": "傍晚"}
GIRLS = tuple(PEOPLE_ZH)[:12]


class Pair(NamedTuple):
    """The same words in both languages."""

    en: str
    zh: str


class Draw:
    """Draws the words of one pair, and remembers which adjective met which thing."""

    def __init__(self, rng: random.Random):
        self._rng = rng
        self.combinations: list[tuple[str, str]] = []
        self._names: list[str] = []

    def one(self, values: tuple[Value, ...]) -> Value:
        """One of the values, each as likely as the others."""
        return values[int(self._rng.random() * len(values))]

    def word(self, words: dict[str, str]) -> Pair:
        """An entry of a dictionary."""
        return Pair(*self.one(tuple(words.items())))

    def name(self) -> Pair:
        """Somebody who is not in the sentence yet."""
        name = self.one(tuple(name for name in PEOPLE_ZH if name not in self._names))
        self._names.append(name)
        return Pair(name, PEOPLE_ZH[name])

    def subject(self) -> Pair:
        """Somebody by name, or now and then a pronoun."""
        if self._rng.random() < 0.8:
            return self.name()
        return self.one((Pair("she", "她"), Pair("he", "他")))

    def time(self) -> Pair:
        """When: half of all sentences do not say."""
        if self._rng.random() < 0.5:
            return Pair("", "")
        english, chinese = self.word(DAYS_ZH)
        return Pair(f"{english}, ", f"{chinese}，")

    def thing(self) -> tuple[str, str, Noun]:
        """An adjective and a noun in English, the adjective in Chinese, and the Chinese noun."""
        adjective, noun = self.one((*COLOURS, *COLOURS, *QUALITIES)), self.one(THINGS)
        self.combinations.append((adjective, noun))
        return f"{adjective} {noun}", ADJECTIVES_ZH[adjective], THINGS_ZH[noun]

    def a_thing(self) -> Pair:
        """Any one: "a red kite", 一只红色的风筝."""
        english, adjective, noun = self.thing()
        return Pair(f"{'an' if english[0] in 'aeiou' else 'a'} {english}", f"一{noun.measure}{adjective}{noun.word}")

    def the_thing(self) -> Pair:
        """A certain one: "the red kite", and 红色的风筝, which says it without an article."""
        english, adjective, noun = self.thing()
        return Pair(f"the {english}", f"{adjective}{noun.word}")

    def counted(self, fewest: int = 1) -> Pair:
        """Some of them: "two eggs", 两个鸡蛋."""
        number = fewest + int(self._rng.random() * (10 - fewest))
        kind: Countable = self.one(COUNTABLES)
        noun = COUNTABLES_ZH[kind.one]
        return Pair(kind.counted(number), f"{NUMBERS_ZH[number]}{noun.measure}{noun.word}")

    def to_place(self) -> Pair:
        """Where to: "the park", 公园."""
        english, chinese = self.word(PLACES_ZH)
        return Pair(f"the {english}", chinese)

    def in_place(self) -> Pair:
        """Where: "in the garden", 花园里. Some Chinese place words take no 里."""
        place = self.one(PLACES)
        chinese = PLACES_ZH[place.name]
        return Pair(place.where, chinese if place.name in ("river", "station", "school", "beach") else f"{chinese}里")

    def spot(self) -> Pair:
        """Where exactly: "under the table", 桌子下面."""
        return self.word(SPOTS_ZH)

    def spot_in_place(self) -> Pair:
        """Where exactly, and in which place: "under the table in the kitchen", 厨房的桌子下面."""
        place = self.one(tuple(place for place in PLACES if any(spot in SPOTS_ZH for spot in place.spots)))
        spot = self.one(tuple(spot for spot in place.spots if spot in SPOTS_ZH))
        return Pair(f"{spot} {place.where}", f"{PLACES_ZH[place.name]}的{SPOTS_ZH[spot]}")


Frame = Callable[[Draw], Pair]


def _found(draw: Draw) -> Pair:
    time, who, thing, spot = draw.time(), draw.subject(), draw.a_thing(), draw.spot()
    return Pair(f"{time.en}{who.en} found {thing.en} {spot.en}.", f"{time.zh}{who.zh}在{spot.zh}发现了{thing.zh}。")


def _gave(draw: Draw) -> Pair:
    time, who, to, thing = draw.time(), draw.subject(), draw.name(), draw.the_thing()
    return Pair(f"{time.en}{who.en} gave {thing.en} to {to.en}.", f"{time.zh}{who.zh}把{thing.zh}给了{to.zh}。")


def _gave_a(draw: Draw) -> Pair:
    time, who, to, thing = draw.time(), draw.subject(), draw.name(), draw.a_thing()
    return Pair(f"{time.en}{who.en} gave {to.en} {thing.en}.", f"{time.zh}{who.zh}给了{to.zh}{thing.zh}。")


def _gave_some(draw: Draw) -> Pair:
    time, who, to, some = draw.time(), draw.subject(), draw.name(), draw.counted()
    return Pair(f"{time.en}{who.en} gave {to.en} {some.en}.", f"{time.zh}{who.zh}给了{to.zh}{some.zh}。")


def _took(draw: Draw) -> Pair:
    time, who, thing, place = draw.time(), draw.subject(), draw.the_thing(), draw.to_place()
    return Pair(f"{time.en}{who.en} took {thing.en} to {place.en}.", f"{time.zh}{who.zh}把{thing.zh}带到了{place.zh}。")


def _put(draw: Draw) -> Pair:
    time, who, thing, spot = draw.time(), draw.subject(), draw.the_thing(), draw.spot()
    verb = draw.one((Pair("put", "放在了"), Pair("left", "留在了")))
    return Pair(
        f"{time.en}{who.en} {verb.en} {thing.en} {spot.en}.", f"{time.zh}{who.zh}把{thing.zh}{verb.zh}{spot.zh}。"
    )


def _went(draw: Draw) -> Pair:
    time, who, place = draw.time(), draw.subject(), draw.to_place()
    verb = draw.one((Pair("went", "去了"), Pair("ran", "跑到了"), Pair("walked", "走到了")))
    return Pair(f"{time.en}{who.en} {verb.en} to {place.en}.", f"{time.zh}{who.zh}{verb.zh}{place.zh}。")


def _went_together(draw: Draw) -> Pair:
    time, who, other, place = draw.time(), draw.name(), draw.name(), draw.to_place()
    return Pair(
        f"{time.en}{who.en} and {other.en} went to {place.en} together.",
        f"{time.zh}{who.zh}和{other.zh}一起去了{place.zh}。",
    )


def _played(draw: Draw) -> Pair:
    time, who, other, game = draw.time(), draw.name(), draw.name(), draw.word(GAMES_ZH)
    return Pair(
        f"{time.en}{who.en} and {other.en} {game.en} together.", f"{time.zh}{who.zh}和{other.zh}一起{game.zh}。"
    )


def _had(draw: Draw) -> Pair:
    who, thing = draw.name(), draw.one((draw.a_thing, draw.counted))()
    return Pair(f"{who.en} has {thing.en}.", f"{who.zh}有{thing.zh}。")


def _bought(draw: Draw) -> Pair:
    time, who, some = draw.time(), draw.subject(), draw.counted()
    return Pair(f"{time.en}{who.en} bought {some.en}.", f"{time.zh}{who.zh}买了{some.zh}。")


def _wants(draw: Draw) -> Pair:
    who, thing = draw.name(), draw.a_thing()
    return Pair(f"{who.en} wants {thing.en}.", f"{who.zh}想要{thing.zh}。")


def _has_not_found(draw: Draw) -> Pair:
    who, thing = draw.subject(), draw.the_thing()
    return Pair(f"{who.en} did not find {thing.en}.", f"{who.zh}没有找到{thing.zh}。")


def _felt(draw: Draw) -> Pair:
    who = draw.name()
    feeling = draw.one(tuple(FEELINGS_ZH))
    cause = draw.word(CAUSES_ZH[feeling])
    female = who.en in GIRLS
    english = cause.en.format(she="she" if female else "he", her="her" if female else "his")
    pronoun = "她" if female else "他"
    chinese = cause.zh.format(she=pronoun, her=pronoun)
    return Pair(f"{who.en} was {feeling} because {english}.", f"{who.zh}{FEELINGS_ZH[feeling][0]}，因为{chinese}。")


def _is_somewhere(draw: Draw) -> Pair:
    who, place = draw.subject(), draw.in_place()
    negated = draw.one((Pair("is", "在"), Pair("is not", "不在")))
    return Pair(f"{who.en} {negated.en} {place.en}.", f"{who.zh}{negated.zh}{place.zh}。")


def _lies(draw: Draw) -> Pair:
    thing, spot = draw.the_thing(), draw.spot_in_place()
    return Pair(f"{thing.en} is {spot.en}.", f"{thing.zh}在{spot.zh}。")


def _where(draw: Draw) -> Pair:
    what = draw.one((draw.the_thing, draw.name))()
    return Pair(f"where is {what.en}?", f"{what.zh}在哪里？")


def _who_has(draw: Draw) -> Pair:
    thing = draw.the_thing()
    return Pair(f"who has {thing.en}?", f"{thing.zh}在谁那里？")


def _how_many(draw: Draw) -> Pair:
    who, kind = draw.name(), draw.one(COUNTABLES)
    noun = COUNTABLES_ZH[kind.one]
    return Pair(f"how many {kind.many} does {who.en} have?", f"{who.zh}有几{noun.measure}{noun.word}？")


def _why(draw: Draw) -> Pair:
    who, feeling = draw.name(), draw.one(tuple(FEELINGS_ZH))
    return Pair(f"why was {who.en} {feeling}?", f"{who.zh}为什么{FEELINGS_ZH[feeling][1]}？")


def _weather(draw: Draw) -> Pair:
    weather, hour = draw.word(WEATHER_ZH), draw.word(HOURS_ZH)
    return Pair(f"it was a {weather.en} {hour.en}.", f"那是一个{weather.zh}的{hour.zh}。")


FRAMES: tuple[tuple[int, Frame], ...] = (
    (6, _found), (5, _gave), (4, _gave_a), (4, _gave_some), (5, _took), (5, _put), (4, _went), (3, _went_together),
    (3, _played), (4, _had), (2, _bought), (3, _wants), (2, _has_not_found), (5, _felt), (2, _is_somewhere),
    (4, _lies), (3, _where), (2, _who_has), (2, _how_many), (1, _why), (1, _weather),
)  # fmt: skip
_FRAMES = tuple(frame for weight, frame in FRAMES for _ in range(weight))


def is_held_out(adjective: str, noun: str) -> bool:
    """Whether this adjective and this thing meet only in the split "combinations"; each is common elsewhere."""
    return ((*COLOURS, *QUALITIES).index(adjective) + 2 * THINGS.index(noun)) % 8 == 3


def sentence_pairs(rng: random.Random) -> Iterator[tuple[Pair, bool]]:
    """Distinct pairs without end, each with whether it holds a held-out combination of words."""
    known: set[str] = set()
    while True:
        draw = Draw(rng)
        english, chinese = draw.one(_FRAMES)(draw)
        if english not in known:
            known.add(english)
            pair = Pair(english[0].upper() + english[1:], chinese)
            yield pair, any(is_held_out(*combination) for combination in draw.combinations)
