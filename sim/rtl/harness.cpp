// Feeds images into a Verilated engine as fast as it takes them, and writes scores, counters and cycles to a file.
//
// Arguments: images output frames image_bytes scores score_width counters idle limit seed stall_in stall_out extra
// ``idle``: cycles between reset and the first image. ``limit``: cycles without progress that end the run; stalls are
// percentages.
// Output: for every frame, as little-endian int64: scores, counters, cycles since the last score of the frame before.
// ``extra``: "-", the name of a VCD file, or every how many cycles of the last frame to write all memories to
// snapshots.bin: first a line "name bytes-per-word words" for each, an empty line, then the words of all, again and again.
// The memory of a simulated chip, which is large, is written to chip.bin alone, once, at the end.
// Exit status: 0, or 1 with one line on stderr.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "Vdut.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif
#if SNAPSHOTS
#include "Vdut___024root.h"
#include "memories.h"
#endif

namespace {

// "__" in a port's name is spelled ___05F by Verilator.
#define PORT(stream, name) dut.stream##___05F##name

constexpr int kSettle = 16;  // cycles after a frame's last score at which its counters are read

template <typename T>
uint64_t low_bits(const T& value) {
    if constexpr (std::is_integral_v<T>) return value;
    else return value[0] | (uint64_t)value[1] << 32;
}

template <typename T>
uint32_t word(const T& value, int index) {
    if constexpr (std::is_integral_v<T>) return (uint64_t)value >> (32 * index);
    else return value[index];
}

#if SNAPSHOTS
struct Header {
    std::ofstream& file;
    template <typename T>
    void operator()(const char* name, const T& memory) const {
        file << name << " " << sizeof(memory[0]) << " " << sizeof(memory) / sizeof(memory[0]) << "\n";
    }
};

struct Words {
    std::ofstream& file;
    template <typename T>
    void operator()(const char*, const T& memory) const {
        file.write((const char*)&memory[0], sizeof(memory));
    }
};
#endif

struct Options {
    std::string images, output, extra;
    long frames, bytes, scores, score_width, counters, idle, limit, seed, stall_in, stall_out;
};

class Bench {
public:
    explicit Bench(const Options& options) : opt(options), random(options.seed), dut(&context) {
        context.randReset(2);  // what the design leaves undefined is random
        context.randSeed(1 + opt.seed);
        std::ifstream file(opt.images, std::ios::binary);
        images.assign(std::istreambuf_iterator<char>(file), {});
#if VM_TRACE
        if (opt.extra != "-") {
            context.traceEverOn(true);
            trace = std::make_unique<VerilatedVcdC>();
            dut.trace(trace.get(), 99);
            trace->open(opt.extra.c_str());
        }
#endif
#if SNAPSHOTS
        every = std::strtol(opt.extra.c_str(), nullptr, 10);
        snapshots.open("snapshots.bin", std::ios::binary);
        memories(*dut.rootp, Header{snapshots});
        snapshots << "\n";
#endif
    }

    int run() {
        reset();
        long progress = cycle;
        while (done < opt.frames || settling()) {
            drive_image();
            PORT(o_scores, ready) = !chance(opt.stall_out);
            half(0);
            const bool sent = PORT(i_image, valid) && PORT(i_image, ready);
            const bool got = PORT(o_scores, valid) && PORT(o_scores, ready);
            const uint64_t payload = low_bits(PORT(o_scores, payload));
            read_counters();
            if (got && !take(payload)) return 1;
            half(1);
            if (sent) sent_byte();
            if (sent || got) progress = cycle;
            if (cycle - progress > opt.limit) {
                std::fprintf(stderr, "nothing moved for %ld cycles: %ld of %ld images sent, %ld frames and %zu scores out\n",
                             opt.limit, position / opt.bytes, opt.frames, done, frame.size());
                return 1;
            }
        }
        return write() ? 0 : 1;
    }

private:
    const Options& opt;
    std::mt19937 random;
    VerilatedContext context;
    Vdut dut;
#if VM_TRACE
    std::unique_ptr<VerilatedVcdC> trace;
#endif
#if SNAPSHOTS
    std::ofstream snapshots;
    long every = 1;
#endif
    std::vector<uint8_t> images;
    std::vector<int64_t> frame, output;
    long cycle = 0, position = 0, done = 0, last = 0;
    bool offered = false;
    std::vector<std::pair<long, size_t>> pending;  // cycle at which to read counters, where they go

    bool chance(long percent) { return percent && (long)(random() % 100) < percent; }
    bool settling() const { return !pending.empty(); }

    void half(int clock) {
        dut.clk = clock;
        dut.eval();
#if SNAPSHOTS
        if (clock && done + 1 >= opt.frames && cycle % every == 0) {
            memories(*dut.rootp, Words{snapshots});
        }
#endif
#if VM_TRACE
        if (trace) trace->dump((uint64_t)(cycle * 10 + clock * 5));
#endif
        cycle += clock;
    }

    void reset() {
        dut.rst = 1;
        PORT(i_image, valid) = 0;
        PORT(o_scores, ready) = 0;
        for (int i = 0; i < 4; i++) { half(0); half(1); }
        dut.rst = 0;
        for (int i = 0; i < opt.idle; i++) { half(0); half(1); }
    }

    void drive_image() {
        if (offered) return;  // an offered byte stays until it is taken
        const bool more = position < (long)images.size();
        offered = more && !chance(opt.stall_in);
        PORT(i_image, valid) = offered;
        PORT(i_image, payload) = offered ? images[position] : random();
    }

    void sent_byte() {
        offered = false;
        position++;
    }

    bool take(uint64_t payload) {
        if (done == opt.frames) {
            std::fprintf(stderr, "a score after the last frame\n");
            return false;
        }
        const int unused = 64 - opt.score_width;
        frame.push_back((int64_t)(payload << unused) >> unused);
        const bool is_last = payload >> opt.score_width & 1, must = (long)frame.size() == opt.scores;
        if (is_last != must) {
            std::fprintf(stderr, "frame %ld: score %zu of %ld is %smarked last\n", done, frame.size(), opt.scores,
                         is_last ? "" : "not ");
            return false;
        }
        if (must) {
            output.insert(output.end(), frame.begin(), frame.end());
            frame.clear();
            pending.push_back({cycle + kSettle, output.size()});
            output.resize(output.size() + opt.counters);
            output.push_back(done ? cycle - last : 0);
            last = cycle;
            done++;
        }
        return true;
    }

    void read_counters() {
        while (!pending.empty() && pending.front().first <= cycle) {
            for (long i = 0; i < opt.counters; i++) output[pending.front().second + i] = word(dut.counters, i);
            pending.erase(pending.begin());
        }
    }

    bool write() {
#if VM_TRACE
        if (trace) trace->close();
#endif
#if SNAPSHOTS
        std::ofstream chip("chip.bin", std::ios::binary);
        chip_memories(*dut.rootp, Header{chip});
        chip << "\n";
        chip_memories(*dut.rootp, Words{chip});
#endif
        std::ofstream file(opt.output, std::ios::binary);
        file.write((const char*)output.data(), output.size() * sizeof(int64_t));
        return file.good();
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 14) return 2;
    auto number = [&](int i) { return std::strtol(argv[i], nullptr, 10); };
    Options options{argv[1],   argv[2],   argv[13],  number(3),  number(4),  number(5), number(6),
                    number(7), number(8), number(9), number(10), number(11), number(12)};
    return Bench(options).run();
}
