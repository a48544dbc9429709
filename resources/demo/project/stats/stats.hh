#pragma once

#include <vector>

// The arithmetic mean; 0 for no values.
double mean(std::vector<double> const& values);

// The middle value in order of size, or the mean of the two middle ones; 0 for no values.
double median(std::vector<double> values);
