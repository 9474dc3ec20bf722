"""What the text on the convolution operation states, in its order and with its numbers.

Each file is a section of the text, and each test a statement in it:

    test_mathematical_foundations    convolution, cross-correlation, what tells them apart
    test_images                      the worked 5 x 5 example, sizes, the 4 x 4 example
    test_multiple_channels           sums over channels, filters, counts of parameters
    test_properties_of_convolution   equivariance, locality, shared parameters, sparsity
    test_common_kernels              the classic kernels and what they do
    test_matrix_multiplication       Toeplitz and im2col
    test_implementation_examples     loops, edges of a square, both operations side by side
    test_computational_complexity    operations counted, and which algorithm is chosen
    test_backpropagation             the three gradients
    test_exercises                   the four exercises

The text's summary and takeaways repeat its sections. Where the text is imprecise or wrong, the test
shows what is true, and its docstring says what the text says instead.
"""
