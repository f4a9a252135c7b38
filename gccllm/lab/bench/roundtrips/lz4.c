/* lz4: fast at two accelerations, high compression at three levels, and the frame format with checksums. */
#include "lz4.h"
#include "lz4frame.h"
#include "lz4hc.h"
#include "roundtrip.h"

static void check(input in, const char *packed, int size) {
    char *back = buffer(in.size);
    require(size > 0, "pack");
    require_same(in, back, LZ4_decompress_safe(packed, back, size, in.size), "round trip");
    write_result(packed, size);
    free(back);
}

int main(void) {
    input in = read_input();
    const char *data = (const char *)in.data;
    int room = LZ4_compressBound(in.size);
    char *packed = buffer(room);
    check(in, packed, LZ4_compress_fast(data, packed, in.size, room, 1));
    check(in, packed, LZ4_compress_fast(data, packed, in.size, room, 17));
    for (int level = 3; level <= 12; level += 3)
        check(in, packed, LZ4_compress_HC(data, packed, in.size, room, level));

    LZ4F_preferences_t wishes = {.frameInfo = {.contentChecksumFlag = 1, .blockChecksumFlag = 1}};
    size_t most = LZ4F_compressFrameBound(in.size, &wishes);
    char *frame = buffer(most), *back = buffer(in.size);
    size_t size = LZ4F_compressFrame(frame, most, data, in.size, &wishes);
    require(!LZ4F_isError(size), "pack a frame");
    LZ4F_dctx *context;
    require(!LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)), "context");
    size_t done = 0, taken = 0;
    while (taken < size) {
        size_t out = in.size - done, from = size - taken;
        require(!LZ4F_isError(LZ4F_decompress(context, back + done, &out, frame + taken, &from, 0)),
                "unpack a frame");
        done += out;
        taken += from;
    }
    require_same(in, back, done, "frame round trip");
    write_result(frame, size);
    return 0;
}
