/* zstd at six levels, and with a dictionary of the input's own start. */
#include "roundtrip.h"
#include "zstd.h"

int main(void) {
    static const int levels[] = {-5, 1, 3, 7, 13, 19};
    input in = read_input();
    size_t room = ZSTD_compressBound(in.size), size;
    char *packed = buffer(room), *back = buffer(in.size);
    for (int i = 0; i < 6; i++) {
        size = ZSTD_compress(packed, room, in.data, in.size, levels[i]);
        require(!ZSTD_isError(size), "pack");
        write_result(packed, size);
        require_same(in, back, ZSTD_decompress(back, in.size, packed, size), "round trip");
    }
    size_t known = in.size < 1024 ? in.size : 1024;
    ZSTD_CCtx *packer = ZSTD_createCCtx();
    ZSTD_DCtx *unpacker = ZSTD_createDCtx();
    size = ZSTD_compress_usingDict(packer, packed, room, in.data, in.size, in.data, known, 6);
    require(!ZSTD_isError(size), "pack with a dictionary");
    write_result(packed, size);
    size = ZSTD_decompress_usingDict(unpacker, back, in.size, packed, size, in.data, known);
    require_same(in, back, size, "round trip with a dictionary");
    return 0;
}
