// What tests/demos/python_random_test.py lays beside Python's own: lines of numbers drawn by demos/python_random.h.
//
//      python_random_draws  <  lines of SEED LOW HIGH COUNT
#include <cstdint>
#include <iostream>

#include "demos/python_random.h"

int main() {
    std::uint64_t seed = 0;
    std::int64_t low = 0;
    std::int64_t high = 0;
    int count = 0;
    while (std::cin >> seed >> low >> high >> count) {
        pollard::PythonRandom random(seed);
        for (int i = 0; i < count; ++i) std::cout << (i == 0 ? "" : " ") << random.randint(low, high);
        std::cout << '\n';
    }
    return 0;
}
