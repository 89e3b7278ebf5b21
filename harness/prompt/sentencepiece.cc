// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sentencepiece.cc   SentencePiece behind a C face. Models are given as memory, because the
 * library's own file reader tells a missing file from a malformed one only in its messages. */
#ifdef HAVE_SENTENCEPIECE

#include "prompt/sentencepiece.h"

#include <sentencepiece_processor.h>

#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <vector>

struct spiece {
    sentencepiece::SentencePieceProcessor processor;
};

namespace
{

/* One line. A failed assertion of the library's comes as a position in its source: no help. */
int refused(char *why, size_t why_bytes, const std::string &reason)
{
    bool position = reason.compare(0, 2, "./") == 0 || reason.find(".cc(") != std::string::npos;
    snprintf(why, why_bytes, "%s", position ? "the library cannot parse it" : reason.c_str());
    for (char *c = why; *c; c++)
        if (static_cast<unsigned char>(*c) < 0x20)
            *c = ' ';
    return 1;
}

} // namespace

int spiece_open(const void *data, size_t bytes, struct spiece **out, char *why, size_t why_bytes)
{
    *out = nullptr;
    try {
        std::unique_ptr<spiece> s(new spiece);
        auto status = s->processor.LoadFromSerializedProto(
            absl::string_view(static_cast<const char *>(data), bytes));
        if (!status.ok())
            return refused(why, why_bytes, status.error_message());
        *out = s.release();
        return 0;
    } catch (const std::exception &e) {
        return refused(why, why_bytes, e.what());
    } catch (...) {
        return refused(why, why_bytes, "the library failed");
    }
}

void spiece_close(struct spiece *s) { delete s; }

int64_t spiece_size(const struct spiece *s) { return s->processor.GetPieceSize(); }

int32_t spiece_unknown(const struct spiece *s) { return s->processor.unk_id(); }

int32_t spiece_find(const struct spiece *s, const char *piece)
{
    try {
        return s->processor.PieceToId(piece);
    } catch (...) {
        return spiece_unknown(s);
    }
}

int spiece_encode(const struct spiece *s, const char *text, size_t bytes, int32_t *ids,
                  int64_t room, int64_t *count)
{
    *count = 0;
    try {
        std::vector<int> pieces;
        if (!s->processor.Encode(absl::string_view(text, bytes), &pieces).ok())
            return 1;
        bool after_unknown = false;
        for (int piece : pieces) {
            bool unknown = s->processor.IsUnknown(piece) || s->processor.IsByte(piece);
            if (unknown && after_unknown)
                continue;
            after_unknown = unknown;
            if (*count < room)
                ids[*count] = unknown ? s->processor.unk_id() : piece;
            ++*count;
        }
        return 0;
    } catch (...) {
        return 1;
    }
}

int spiece_marks_words(const struct spiece *s)
{
    try {
        std::vector<std::string> pieces;
        return s->processor.Encode("a", &pieces).ok() && !pieces.empty() &&
               pieces[0].compare(0, 3, "\xE2\x96\x81") == 0;
    } catch (...) {
        return 0;
    }
}

#endif
