"""Promises print servers with a printer's body behind them: Moonraker, Klipper alone, PrusaLink.
Never shares code with the product: what they answer is written down from their own documents.
"""
