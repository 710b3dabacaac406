"""Which recurrent networks can learn how to learn, when trained by gradient descent?"""
