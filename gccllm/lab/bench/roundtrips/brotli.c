/* brotli at five qualities and two windows. */
#include "brotli/decode.h"
#include "brotli/encode.h"
#include "roundtrip.h"

int main(void) {
    static const int qualities[] = {0, 1, 5, 9, 11};
    input in = read_input();
    for (int i = 0; i < 10; i++) {
        int quality = qualities[i % 5], window = i < 5 ? BROTLI_DEFAULT_WINDOW : 16;
        size_t packed_size = BrotliEncoderMaxCompressedSize(in.size) + 1024, size = in.size;
        uint8_t *packed = buffer(packed_size), *back = buffer(in.size);
        require(BrotliEncoderCompress(quality, window, BROTLI_MODE_GENERIC, in.size, in.data, &packed_size,
                                      packed),
                "pack");
        require(BrotliDecoderDecompress(packed_size, packed, &size, back) == BROTLI_DECODER_RESULT_SUCCESS,
                "unpack");
        require_same(in, back, size, "round trip");
        write_result(packed, packed_size);
        free(packed);
        free(back);
    }
    return 0;
}
