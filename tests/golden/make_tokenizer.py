#!/usr/bin/env python3
# SPDX-FileCopyrightText: The Patchmark authors
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/golden/tokenizer: a small T5-like SentencePiece model with byte pieces, and what the
published pipeline's cleaning (diffusers) and tokenizer (transformers) make of some prompts.

The normalisation is a cut of NFKC, because the whole table alone has some 240 KB. ftfy must not be
installed: with it diffusers repairs the text first, which Patchmark does not.

    pip install "diffusers==0.42.1" "transformers==5.23.0" "torch==2.15" sentencepiece protobuf
    python tests/golden/make_tokenizer.py"""

import html.entities
import pathlib
import tempfile
import unicodedata

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from diffusers.pipelines.wan import pipeline_wan
from transformers import AutoTokenizer

OUT = pathlib.Path(__file__).parent / "tokenizer"
EXTRA_IDS = 20
CORPUS = """
a red fox walks across the snow at dawn, soft light, film grain
a cat walks on the grass, realistic style
two anthropomorphic cats in comfy boxing gear fight intensely on a spotlighted stage
the camera follows behind a white vintage car as it speeds up a steep dirt road
waves crash against the rugged cliffs, the setting sun illuminates the rocky shore
a close up of an old man with a long beard; he drinks coffee & reads in a cafe
a time-lapse of clouds over a city: neon signs, rain, 24 frames per second, 4K
"no people", 'no text', (best quality), [slow motion], 50% grey, 10 < 20 > 5
café naïve déjà vu über Straße façade
一只红狐狸走过雪地，柔和的光线。
猫在草地上行走，写实风格
两只猫在聚光灯下的舞台上激烈地打拳击
色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰
"""
LONG = "a red fox walks across the snow at dawn, soft light. "
NAMES = [name for name in html.entities.name2codepoint]

# rows of the tokenizer's output, prompt as typed
PROMPTS = [
    (512, "A red fox walks across the snow at dawn, soft light, film grain"),
    (512, ""),
    (512, " \t\n "),
    (512, "  two   cats\n\n on\ta stage \r\n"),
    (512, "一只红狐狸走过雪地，柔和的光线。"),
    (512, "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰"),
    (512, "猫 cat 在 grass 上行走 龍"),
    (512, "a fox 🦊 in the snow ❄️🦊🦊 x🦊y, 👨‍👩‍👧"),
    (512, "caf\u00e9 cafe\u0301 na\u00efve nai\u0308ve \ufb01lm ｆｏｘ （４Ｋ）"),
    (512, "नमस्ते दुनिया мир עולם"),
    (512, "coffee &amp; snow, 10 &lt; 20 &gt; 5, &quot;no text&quot;, &apos;slow&apos;"),
    (512, "twice: &amp;lt;fox&amp;gt; &amp;amp;amp; &amp;#39;cat&amp;#39;"),
    (512, "&ltd &notit; &nosuch; &copy2026 &hellip &hellip; & &; &# &#; &#x; &#xg &AMP &Amp; &lang;"),
    (512, "&#65;&#x42;&#X43 &#0; &#128; &#x80; &#xD800; &#x110000; &#99999999999; &#1;&#11;&#xFDD0;|&#13;|"),
    (512, " ".join(f"&{name};" for name in NAMES)),
    (512, " ".join(f"&{name}" for name in NAMES)),
    (512, "a&nbsp;red\u3000fox\u2028at\x85dawn\x1cin\u205fsnow\u1680.\u2003"),
    (512, "\x1c a\x1e \x1dfox \x1f"),
    (512, "zero\u200bwidth, soft\u00adhyphen, \ufeffmark"),
    (512, "a fox</s>b<pad> the snow <unk> x<unk><unk>y < / s > &lt;/s&gt; <s> </s"),
    (512, "<extra_id_0>fox<extra_id_19> <extra_id_20> <extra_id_07> <extra_id_> <extra_id_3"),
    (512, "a▁red ▁▁fox ▁"),
    (512, "“no text”, it’s – soft — light… it's"),
    (512, "Supercalifragilisticexpialidocious" * 4),
    (512, LONG * 60),
    (512, "柔和的光线，" * 200),
    (512, "fox" + " 🦊" * 600),
    (8, "a red fox walks across the snow at dawn"),
    (8, "a red fox</s></s></s></s></s>"),
    (2, "a red fox"),
    (1, "a red fox"),
]


def rules():
    """A cut of NFKC: full width and ligatures, accents on Latin letters, kinds of space."""
    made = {c: unicodedata.normalize("NFKC", c) for c in map(chr, [*range(0xFF01, 0xFF5F), *range(0xFB00, 0xFB05)])}
    for c in map(chr, range(0xC0, 0x180)):
        apart = unicodedata.normalize("NFD", c)
        if apart != c:
            made[apart] = c
    made.update({c: " " for c in "\t\n\r\u00a0\u2003\u200b\u2028\u2581\u3000\ufeff"})
    made.update({c: "" for c in "\x01\x7f\u00ad"})
    return "".join(" ".join(f"{ord(x):X}" for x in a) + "\t" + " ".join(f"{ord(x):X}" for x in b) + "\n"
                   for a, b in sorted(made.items()))


def forget_paths(path):
    """The trainer notes the files of the machine it ran on."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    del model.trainer_spec.input[:]
    model.trainer_spec.model_prefix = "spiece"
    model.normalizer_spec.normalization_rule_tsv = ""
    path.write_bytes(model.SerializeToString(deterministic=True))


def train(folder):
    corpus, table = folder / "corpus.txt", folder / "rules.tsv"
    corpus.write_text(CORPUS)
    table.write_text(rules())
    sentencepiece.SentencePieceTrainer.train(
        input=str(corpus), model_prefix=str(OUT / "spiece"), model_type="unigram", vocab_size=620,
        hard_vocab_limit=False, byte_fallback=True, character_coverage=1.0, pad_id=0, eos_id=1,
        unk_id=2, bos_id=-1, normalization_rule_tsv=str(table), num_threads=1, minloglevel=2)
    (OUT / "spiece.vocab").unlink()
    forget_paths(OUT / "spiece.model")


def escaped(text):
    for plain, written in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(plain, written)
    return text


def main():
    assert not pipeline_wan.is_ftfy_available()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        train(pathlib.Path(folder))
    (OUT / "tokenizer_config.json").write_text(
        f'{{"tokenizer_class": "T5Tokenizer", "extra_ids": {EXTRA_IDS}}}\n')
    tokenizer = AutoTokenizer.from_pretrained(OUT)
    lines = [f"# {len(tokenizer)} token numbers; rows, numbers up to </s>, prompt, cleaned prompt\n"]
    for rows, prompt in PROMPTS:
        clean = pipeline_wan.prompt_clean(prompt)
        made = tokenizer([clean], padding="max_length", max_length=rows, truncation=True,
                         add_special_tokens=True, return_attention_mask=True)
        count = sum(made.attention_mask[0])
        ids = made.input_ids[0]
        assert len(ids) == rows and not any(ids[count:])
        numbers = " ".join(map(str, ids[:count]))
        lines.append(f"{rows}\t{numbers}\t{escaped(prompt)}\t{escaped(clean)}\n")
    (OUT / "prompts.tsv").write_text("".join(lines))


if __name__ == "__main__":
    main()
