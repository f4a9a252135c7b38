/* zopfli only packs: the gzip stream goes to stdout and the suite unpacks it with Python's zlib. */
#include "zopfli.h"
#include "roundtrip.h"

int main(void) {
    input in = read_input();
    ZopfliOptions options;
    ZopfliInitOptions(&options);
    options.numiterations = 3;
    unsigned char *packed = 0;
    size_t size = 0;
    ZopfliCompress(&options, ZOPFLI_FORMAT_GZIP, in.data, in.size, &packed, &size);
    write_result(packed, size);
    return 0;
}
